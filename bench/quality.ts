/**
 * Measures retrieval quality on a test collection in BEIR layout (`corpus.jsonl`, `queries.jsonl`, `qrels.tsv`):
 *
 *   node bench/quality.ts --data DIR [--cache FILE] [--group] [--queries N]
 *
 * Fills a fresh embedded graph store with one passage a document (with `--group`, documents that follow each other
 * under one title are the passages of one item), asks every query through the search service's fetch handler, and
 * prints nDCG@10, recall@5, recall@50 and MRR@10 for each retriever alone, for vector and full text fused, and for
 * all of it. `SEARCH_*` variables apply. Vectors are kept in `--cache`.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type Client,
  createClient,
  type Principal,
  type SearchType,
  searchContract,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { type GraphStore, openEmbeddedGraph } from '@mnemosyne/graph'
import { type Embedder, findModel, modelCacheDir, openLocalEmbedder } from '@mnemosyne/models'
import {
  createLog,
  createSigner,
  createVerifier,
  generateAssertionKeys,
  type Logger,
  Metrics,
  parseConfig,
  publicKeys,
  systemClock,
} from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { extractConcepts } from '../services/ingest/src/concepts/extract-concepts.ts'
import { searchConfig, startSearch } from '../services/search/src/index.ts'

const LIBRARY = '00000000-0000-4000-8000-000000000001'
const NOW = '2026-01-01T00:00:00.000Z'
const DEEPEST = 50

interface Document {
  _id: string
  title: string
  text: string
}

interface Query {
  _id: string
  text: string
}

/** Relevant documents of each query with their grade, above 0 only. */
type Judgements = Map<string, Map<string, number>>

interface TestCollection {
  documents: Document[]
  queries: Query[]
  judgements: Judgements
}

async function readCollection(folder: string): Promise<TestCollection> {
  const lines = async (file: string) =>
    (await readFile(join(folder, file), 'utf8')).split('\n').filter(Boolean)
  const documents = (await lines('corpus.jsonl')).map((line) => JSON.parse(line) as Document)
  const queries = (await lines('queries.jsonl')).map((line) => JSON.parse(line) as Query)
  const judgements: Judgements = new Map()
  for (const line of (await lines('qrels.tsv')).slice(1)) {
    const [query, document, grade] = line.split('\t') as [string, string, string]
    if (Number(grade) <= 0) continue
    const judged = judgements.get(query) ?? new Map<string, number>()
    judgements.set(query, judged.set(document, Number(grade)))
  }
  return { documents, queries: queries.filter(({ _id }) => judgements.has(_id)), judgements }
}

/** Vectors by the hash of what was embedded, kept between runs. */
async function embedAll(
  embedder: Embedder,
  texts: string[],
  cacheFile: string | undefined,
): Promise<Float32Array[]> {
  const keyOf = (text: string) =>
    createHash('sha256').update(`${embedder.model.revision}\0${text}`).digest('base64')
  const known: Record<string, string> =
    cacheFile && existsSync(cacheFile) ? JSON.parse(await readFile(cacheFile, 'utf8')) : {}
  const missing = [...new Set(texts.filter((text) => known[keyOf(text)] === undefined))]
  const vectors = await embedder.embedPassages(missing)
  for (const [index, text] of missing.entries()) {
    known[keyOf(text)] = Buffer.from(
      vectors[index]!.buffer,
      vectors[index]!.byteOffset,
      vectors[index]!.byteLength,
    ).toString('base64')
  }
  if (cacheFile && missing.length > 0) await writeFile(cacheFile, JSON.stringify(known))
  return texts.map(
    (text) => new Float32Array(new Uint8Array(Buffer.from(known[keyOf(text)]!, 'base64')).buffer),
  )
}

/** Uid-shaped and the same in every run. */
function uidOf(kind: string, id: string): string {
  const hex = createHash('sha256').update(`${kind}\0${id}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}

async function fill(
  graph: GraphStore,
  items: Document[][],
  vectors: Map<string, Float32Array>,
  model: string,
) {
  await graph.putLibrary({
    uid: LIBRARY,
    name: 'Test collection',
    library_type: 'nonfiction',
    description: '',
    workspace_id: null,
    owner_username: null,
    chunking_config: {},
    embedding_instruction: '',
    reranker_instruction: '',
    llm_context_prompt: '',
    created_at: NOW,
    updated_at: NOW,
  })
  for (const documents of items) {
    const item_uid = uidOf('item', documents[0]!._id)
    const { title } = documents[0]!
    await graph.putItem({
      uid: item_uid,
      library_uid: LIBRARY,
      collection_uid: null,
      title,
      item_type: 'document',
      file_type: 'text/plain',
      file_size: 0,
      s3_key: null,
      content_hash: null,
      source: 'bench',
      source_ref: documents[0]!._id,
      metadata: {},
      embedding_status: 'pending',
      error: null,
      created_at: NOW,
      updated_at: NOW,
    })
    const blocks = documents.map(({ text }) => ({ type: 'paragraph' as const, text }))
    await graph.replaceItemContent({
      item_uid,
      library_uid: LIBRARY,
      version: 1,
      title,
      content_hash: '',
      embedding_model: model,
      updated_at: NOW,
      concepts: extractConcepts({ title, authors: [], blocks }, 'nonfiction').map(
        ({ key, name, kind, concept_type }) => ({ key, name, kind, concept_type }),
      ),
      chunks: documents.map((document, index) => ({
        chunk_uid: uidOf('chunk', document._id),
        chunk_index: index,
        text: document.text,
        section_path: [],
        page: null,
        char_start: 0,
        char_end: document.text.length,
        token_count: 0,
        embedding: vectors.get(document._id)!,
        embedding_key: null,
      })),
    })
  }
}

/** Documents that follow each other under one title, as the passages of one item. */
function grouped(documents: Document[], group: boolean): Document[][] {
  if (!group) return documents.map((document) => [document])
  const items: Document[][] = []
  for (const document of documents) {
    const last = items.at(-1)
    if (last && last[0]!.title === document.title) last.push(document)
    else items.push([document])
  }
  return items
}

interface Quality {
  ndcg10: number
  recall5: number
  recall50: number
  mrr10: number
}

/** Järvelin and Kekäläinen's nDCG with linear gain, recall over all relevant, and reciprocal rank. */
function judge(ranked: string[], relevant: Map<string, number>): Quality {
  const gain = (grades: number[]) =>
    grades.reduce((sum, grade, index) => sum + grade / Math.log2(index + 2), 0)
  const ideal = [...relevant.values()].sort((a, b) => b - a).slice(0, 10)
  const recall = (depth: number) =>
    ranked.slice(0, depth).filter((id) => relevant.has(id)).length / relevant.size
  const first = ranked.slice(0, 10).findIndex((id) => relevant.has(id))
  return {
    ndcg10: gain(ranked.slice(0, 10).map((id) => relevant.get(id) ?? 0)) / gain(ideal),
    recall5: recall(5),
    recall50: recall(50),
    mrr10: first === -1 ? 0 : 1 / (first + 1),
  }
}

async function startService(
  graph: GraphStore,
  embedder: Embedder,
  log: Logger,
): Promise<Client<typeof searchContract>> {
  const keys = await generateAssertionKeys('bench')
  const sign = await createSigner('gateway', keys)
  const service = await startSearch({
    config: parseConfig('search', searchConfig, process.env),
    graph,
    embedder: () => ({ embedder }),
    verify: await createVerifier('search', publicKeys(keys)),
    log,
    metrics: new Metrics(new Registry(), 'search'),
  })
  const principal: Principal = { ...servicePrincipal('rest'), resolved_libraries: [LIBRARY] }
  return createClient(searchContract, {
    fetch: async (request) => {
      request.headers.set('x-mnemosyne-principal', await sign(principal, 'search'))
      return service.fetch(request)
    },
  })
}

const WAYS: [string, SearchType[]][] = [
  ['vector', ['vector']],
  ['fulltext', ['fulltext']],
  ['graph', ['graph']],
  ['fused, no graph', ['vector', 'fulltext']],
  ['final', ['vector', 'fulltext', 'graph']],
]

async function measure(
  client: Client<typeof searchContract>,
  { documents, queries, judgements }: TestCollection,
  search_types: SearchType[],
): Promise<Quality & { p50: number; stages: Record<string, number> }> {
  const idOf = new Map(documents.map(({ _id }) => [uidOf('chunk', _id), _id]))
  const results: Quality[] = []
  const took: number[] = []
  const stages: Record<string, number[]> = {}
  for (const { _id, text } of queries) {
    const answer = await client.search({ query: text, limit: DEEPEST, search_types })
    if (answer.degraded.length > 0) console.error(_id, answer.degraded)
    results.push(
      judge(
        answer.candidates.map(({ chunk_uid }) => idOf.get(chunk_uid)!),
        judgements.get(_id)!,
      ),
    )
    took.push(answer.search_time_ms)
    for (const [stage, ms] of Object.entries(answer.timings_ms)) {
      stages[stage] = [...(stages[stage] ?? []), ms]
    }
  }
  const mean = (of: keyof Quality) => results.reduce((sum, result) => sum + result[of], 0) / results.length
  return {
    ndcg10: mean('ndcg10'),
    recall5: mean('recall5'),
    recall50: mean('recall50'),
    mrr10: mean('mrr10'),
    p50: median(took),
    stages: Object.fromEntries(Object.entries(stages).map(([stage, all]) => [stage, median(all)])),
  }
}

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      data: { type: 'string' },
      cache: { type: 'string' },
      group: { type: 'boolean', default: false },
      queries: { type: 'string' },
    },
  })
  if (values.data === undefined) throw new Error('Say which collection: --data DIR')
  const log = createLog({ component: 'bench', level: 'warn' })
  const collection = await readCollection(values.data)
  if (values.queries) collection.queries.length = Math.min(collection.queries.length, Number(values.queries))

  const model = await findModel({
    modelDir: process.env.MNEMOSYNE_MODEL_DIR,
    cacheDir: modelCacheDir({ MNEMOSYNE_CACHE_DIR: process.env.MNEMOSYNE_CACHE_DIR }),
    log,
  })
  if (model.kind === 'missing') throw new Error(`${model.reason} ${model.whatToDo}`)
  const metrics = new Metrics(new Registry(), 'bench')
  const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-quality-'))
  const embedder = await openLocalEmbedder({ modelDir: model.dir, log, metrics })
  const graph = await openEmbeddedGraph({ file: join(folder, 'graph.db'), log, metrics, clock: systemClock })
  try {
    const { documents } = collection
    const started = performance.now()
    const texts = documents.map(({ title, text }) => (title === '' ? text : `${title}\n${text}`))
    const vectors = await embedAll(embedder, texts, values.cache)
    const embedded = performance.now()
    await fill(
      graph,
      grouped(documents, values.group),
      new Map(documents.map(({ _id }, index) => [_id, vectors[index]!])),
      embedder.model.name,
    )
    const seconds = (from: number) => `${((performance.now() - from) / 1000).toFixed(1)} s`
    console.log(
      `${basename(values.data)}: ${documents.length} documents, ${collection.queries.length} queries; embedded in ${((embedded - started) / 1000).toFixed(1)} s, stored in ${seconds(embedded)}`,
    )
    const client = await startService(graph, embedder, log)
    console.log('| retrievers | nDCG@10 | recall@5 | recall@50 | MRR@10 | p50 ms | stages, p50 ms |')
    console.log('| --- | --- | --- | --- | --- | --- | --- |')
    for (const [name, types] of WAYS) {
      const found = await measure(client, collection, types)
      const shown = [found.ndcg10, found.recall5, found.recall50, found.mrr10].map((value) =>
        value.toFixed(3),
      )
      const stages = Object.entries(found.stages).map(([stage, ms]) => `${stage} ${ms.toFixed(1)}`)
      console.log(`| ${[name, ...shown, found.p50.toFixed(1), stages.join(', ')].join(' | ')} |`)
    }
  } finally {
    await graph.close()
    await embedder.close()
    await rm(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) await main()
