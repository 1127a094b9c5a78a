import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

export interface Document {
  _id: string
  title: string
  text: string
}

export interface Query {
  _id: string
  text: string
}

/** Relevant documents of each query with their grade, above 0 only. */
type Judgements = Map<string, Map<string, number>>

export interface TestCollection {
  name: string
  documents: Document[]
  /** Those that something is relevant to. */
  queries: Query[]
  judgements: Judgements
}

const CORPUS = 'corpus.jsonl'

/** The folder, if it is a collection in BEIR layout; else those in it, by name. */
export async function collectionFolders(folder: string): Promise<string[]> {
  if (existsSync(join(folder, CORPUS))) return [folder]
  const entries = await readdir(folder)
  const found = entries
    .toSorted()
    .map((name) => join(folder, name))
    .filter((path) => existsSync(join(path, CORPUS)))
  if (found.length === 0) throw new Error(`${folder} holds no ${CORPUS}, and no folder in it does.`)
  return found
}

export async function readCollection(folder: string): Promise<TestCollection> {
  const lines = async (file: string) =>
    (await readFile(join(folder, file), 'utf8')).split('\n').filter(Boolean)
  const documents = (await lines(CORPUS)).map((line) => JSON.parse(line) as Document)
  const queries = (await lines('queries.jsonl')).map((line) => JSON.parse(line) as Query)
  const judgements: Judgements = new Map()
  for (const line of (await lines('qrels.tsv')).slice(1)) {
    const [query, document, grade] = line.split('\t') as [string, string, string]
    if (Number(grade) <= 0) continue
    const judged = judgements.get(query) ?? new Map<string, number>()
    judgements.set(query, judged.set(document, Number(grade)))
  }
  return {
    name: basename(folder),
    documents,
    queries: queries.filter(({ _id }) => judgements.has(_id)),
    judgements,
  }
}

/**
 * At most `limit` documents: a half for the documents that are relevant to the first queries, the rest as they come. Only
 * queries all of whose relevant documents are among them stay.
 */
export function limited(collection: TestCollection, limit: number): TestCollection {
  const { documents, queries, judgements } = collection
  if (documents.length <= limit) return collection
  const kept = new Set<string>()
  for (const { _id } of queries) {
    const relevant = [...judgements.get(_id)!.keys()]
    if (kept.size + relevant.length > limit / 2) break
    for (const id of relevant) kept.add(id)
  }
  for (const { _id } of documents) {
    if (kept.size >= limit) break
    kept.add(_id)
  }
  return {
    ...collection,
    documents: documents.filter(({ _id }) => kept.has(_id)),
    queries: queries.filter(({ _id }) => [...judgements.get(_id)!.keys()].every((id) => kept.has(id))),
  }
}
