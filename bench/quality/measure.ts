import type { SearchAnswer, SearchType } from '@mnemosyne/contracts'
import type { SystemClient } from '../../test/system/client.ts'
import { say } from '../bench.ts'
import type { SourceFile } from '../corpus.ts'
import { median } from '../report.ts'
import { createLibrary, ingest } from '../system.ts'
import type { Document, TestCollection } from './collection.ts'
import { judge, meanOf, type Quality } from './judge.ts'

/** Documents that are looked at; a document counts where its best passage stands. */
const DEEPEST = 50
const PASSAGES_AT_MOST = 100
const UPLOADED_TOGETHER = 200

/** Each retriever alone, fused, and with the graph. */
export const WAYS = [
  { name: 'vector', types: ['vector'] },
  { name: 'fulltext', types: ['fulltext'] },
  { name: 'graph', types: ['graph'] },
  { name: 'fused, no graph', types: ['vector', 'fulltext'] },
  { name: 'final', types: ['vector', 'fulltext', 'graph'] },
] as const satisfies { name: string; types: SearchType[] }[]
export type Way = (typeof WAYS)[number]['name']

export interface WayMeasured extends Quality {
  /** Of the whole search as the client sees it, milliseconds. */
  p50: number
  /** The documents of each query, best first. */
  rankings: Map<string, string[]>
}

/** A collection in the product: in a library of its own, with the document of each item. */
export interface TakenIn {
  library_uid: string
  /** By item uid. */
  documentOf: Record<string, string>
  passages: number
  took: number
}

/** Uploads every document that has words, over REST, and waits for the jobs. */
export async function takeIn(system: SystemClient, collection: TestCollection): Promise<TakenIn> {
  const workspace = collection.name.slice(0, 64)
  const library_uid = await createLibrary(system, workspace, 'nonfiction')
  const files = collection.documents.filter(({ title, text }) => `${title}${text}`.trim() !== '').map(fileOf)
  const taken: TakenIn = { library_uid, documentOf: {}, passages: 0, took: 0 }
  const started = performance.now()
  for (let at = 0; at < files.length; at += UPLOADED_TOGETHER) {
    const { jobs } = await ingest(system, workspace, files.slice(at, at + UPLOADED_TOGETHER))
    for (const { item_uid, source_ref, chunks_created } of jobs) {
      taken.documentOf[item_uid] = source_ref
      taken.passages += chunks_created
    }
    say(`${collection.name}: ${at + jobs.length} of ${files.length} documents`)
  }
  taken.took = performance.now() - started
  return taken
}

function fileOf({ _id, title, text }: Document): SourceFile {
  return { name: _id, type: 'text/markdown', content: title === '' ? text : `# ${title}\n\n${text}\n` }
}

/** Asks every query in one way. */
export async function measureWay(
  system: SystemClient,
  collection: TestCollection,
  taken: TakenIn,
  search_types: readonly SearchType[],
): Promise<WayMeasured> {
  const times: number[] = []
  const rankings = new Map<string, string[]>()
  for (const { _id, text } of collection.queries) {
    const started = performance.now()
    const request = {
      ...{ query: text, library_uid: taken.library_uid, limit: PASSAGES_AT_MOST, search_types },
      // Copies are judged too.
      fold_duplicates: false,
    }
    const { status, text: said, body } = await system.call('POST', '/library/api/search/', request)
    times.push(performance.now() - started)
    const answer = body as SearchAnswer
    if (status !== 200 || answer.degraded.length > 0)
      throw new Error(`The search went wrong: ${status} ${said}`)
    rankings.set(_id, rankedDocuments(answer, taken.documentOf))
  }
  const judged = [...rankings].map(([query, ranked]) => judge(ranked, collection.judgements.get(query)!))
  return { ...meanOf(judged), p50: median(times), rankings }
}

/**
 * Passages of one score stand in an answer by their uids, which every taking in draws anew. Here, as in trec_eval, the
 * document's id decides, so that two runs can be compared.
 */
function rankedDocuments({ candidates }: SearchAnswer, documentOf: Record<string, string>): string[] {
  const passages: { id: string; score: number; place: number }[] = []
  for (const [index, { item_uid, fused_score }] of candidates.entries()) {
    // What is left of sums in another order.
    const score = Number(fused_score.toFixed(9))
    const before = passages.at(-1)
    const place = before?.score === score ? before.place : index
    passages.push({ id: documentOf[item_uid]!, score, place })
  }
  passages.sort((a, b) => a.place - b.place || (a.id < b.id ? -1 : 1))
  return [...new Set(passages.map(({ id }) => id))].slice(0, DEEPEST)
}
