import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import {
  type Client,
  createClient,
  PRINCIPAL_HEADER,
  type Principal,
  searchContract,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { conceptKey, type GraphStore, openEmbeddedGraph, terms } from '@mnemosyne/graph'
import type { Embedder, Reranker } from '@mnemosyne/models'
import {
  createLog,
  createSigner,
  createVerifier,
  generateAssertionKeys,
  Metrics,
  parseConfig,
  publicKeys,
  type Service,
  systemClock,
} from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { type EmbedderState, searchConfig, startSearch } from '../src/index.ts'

const NOW = '2026-01-01T00:00:00.000Z'
const DIMENSIONS = 1024

/** Uid-shaped, told from a word. */
export function uid(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

export const MANUALS = uid('library manuals')
export const NOVELS = uid('library novels')
export const BOBS = uid('library of bob')
export const SHELF = uid('collection shelf')
export const BOBS_SHELF = uid('collection of bob')

/** Stands for the model outside the system: texts with the same words are near each other. */
export function wordEmbedder(
  over: Partial<Embedder> = {},
  takesInstructions = false,
): Embedder & { asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    model: { name: 'words', dimensions: DIMENSIONS, maxTokens: 512, revision: '1', takesInstructions },
    embedPassages: async (passages) => passages.map(vectorOf),
    embedQuery: async (query, options) => {
      asked.push(options?.instruction ?? '')
      return vectorOf(query)
    },
    countTokens: async (texts) => texts.map((text) => text.split(' ').length),
    ping: async () => {},
    close: async () => {},
    ...over,
  }
}

export function vectorOf(text: string): Float32Array {
  const vector = new Float32Array(DIMENSIONS).fill(0.01)
  for (const term of terms(text))
    vector[createHash('sha256').update(term).digest().readUInt16BE() % DIMENSIONS]! += 1
  return vector
}

export interface Document {
  library: string
  title: string
  passages: string[]
  concepts?: string[]
  collection?: string
  /** Without vectors, as what comes in without a model. */
  unembedded?: boolean
  /** Where each passage begins in the document; without it, two characters after the last one. */
  starts?: number[]
  sections?: string[][]
}

export const DOCUMENTS: Document[] = [
  {
    library: MANUALS,
    title: 'Pump manual',
    passages: [
      'Prime the pump before the first start. Close the drain valve.',
      'Set the pressure switch to four bar. The Kessler gauge shows it.',
      'Store it dry in winter.',
    ],
    concepts: ['Kessler gauge', 'pressure switch', 'drain valve'],
    collection: SHELF,
  },
  {
    library: MANUALS,
    title: 'Kessler gauge',
    passages: ['Made in Ulm. Calibrate once a year against a column of mercury.'],
    concepts: ['Ulm'],
  },
  {
    library: MANUALS,
    title: 'Ulm',
    passages: ['A city on the Danube with the tallest church tower.'],
    concepts: ['Ulm', 'Danube'],
  },
  { library: NOVELS, title: 'The Lighthouse', passages: ['The keeper wrote in the ledger every night.'] },
  { library: NOVELS, title: 'The Danube', passages: ['He walked along the river and thought of the pump.'] },
  ...Array.from({ length: 12 }, (_, index) => ({
    library: NOVELS,
    title: `Chapter ${index}`,
    passages: [`Nothing happened on day number ${index}, and nobody minded.`],
  })),
  {
    library: BOBS,
    title: 'Secret pump',
    passages: ['Bob primes the pump with champagne. The Kessler gauge is fake.'],
    concepts: ['Kessler gauge'],
    collection: BOBS_SHELF,
  },
]

export interface World {
  graph: GraphStore
  /** What the services see of the store; a test may break questions. */
  broken: Map<string, (...args: unknown[]) => Promise<unknown>>
  state: { current: EmbedderState; reranker: Reranker | null }
  registry: Registry
  lines: string[]
  start(env?: Record<string, string>): Promise<Service>
  /** A client of the service for a caller who reads these libraries. */
  client(service: Service, libraries?: string[]): Client<typeof searchContract>
  request(
    service: Service,
    body: unknown,
    init?: RequestInit,
    libraries?: string[],
    path?: string,
  ): Promise<Response>
  close(): Promise<void>
}

/** A real embedded store with the libraries of Ada and Bob, or what it is filled with, and the search service over it. */
export async function openWorld(fillStore: (graph: GraphStore) => Promise<void> = fill): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-search-'))
  const registry = new Registry()
  const metrics = new Metrics(registry, 'search')
  const lines: string[] = []
  const log = createLog({
    component: 'search',
    level: 'info',
    destination: new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }),
  })
  const graph = await openEmbeddedGraph({ file: join(folder, 'graph.db'), log, metrics, clock: systemClock })
  await fillStore(graph)
  const keys = await generateAssertionKeys('k1')
  const sign = await createSigner('gateway', keys)
  const verify = await createVerifier('search', publicKeys(keys))
  const broken: World['broken'] = new Map()
  const state: World['state'] = { current: { embedder: wordEmbedder() }, reranker: null }

  const assertion = (libraries: string[]) => {
    const principal: Principal = { ...servicePrincipal('rest'), resolved_libraries: libraries }
    return sign(principal, 'search')
  }
  const mine = [MANUALS, NOVELS]
  return {
    graph,
    broken,
    state,
    registry,
    lines,
    start: (env = {}) =>
      startSearch({
        config: parseConfig('search', searchConfig, env),
        graph: breakable(graph, broken),
        embedder: () => state.current,
        reranker: state.reranker,
        verify,
        log,
        metrics,
      }),
    client: (service, libraries = mine) =>
      createClient(searchContract, {
        fetch: async (request) => {
          request.headers.set(PRINCIPAL_HEADER, await assertion(libraries))
          return service.fetch(request)
        },
      }),
    request: async (service, body, init = {}, libraries = mine, path = '/library/api/search/') =>
      service.fetch(
        new Request(`http://search${path}`, {
          method: 'POST',
          body: typeof body === 'string' ? body : JSON.stringify(body),
          headers: { 'content-type': 'application/json', [PRINCIPAL_HEADER]: await assertion(libraries) },
          ...init,
        }),
      ),
    async close() {
      await graph.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The store, of which single questions fail or hang as a broken disk or a dead worker makes them. */
function breakable(graph: GraphStore, broken: World['broken']): GraphStore {
  return new Proxy(graph, {
    get(target, name) {
      // What is asked near the store passes by here.
      if (name === 'near' && broken.size > 0) return undefined
      const own: unknown = Reflect.get(target, name)
      if (typeof own !== 'function') return own
      return (...args: unknown[]) => broken.get(String(name))?.(...args) ?? own.apply(target, args)
    },
  })
}

async function fill(graph: GraphStore): Promise<void> {
  const library = {
    description: '',
    workspace_id: null,
    chunking_config: {},
    created_at: NOW,
    updated_at: NOW,
  }
  const manuals = {
    embedding_instruction: 'Find the step.',
    reranker_instruction: 'Which step?',
    llm_context_prompt: 'Follow the order of steps.',
  }
  const novels = {
    embedding_instruction: 'Find the scene.',
    reranker_instruction: 'Which scene?',
    llm_context_prompt: 'This is fiction.',
  }
  await graph.putLibrary({
    ...library,
    ...manuals,
    uid: MANUALS,
    name: 'Manuals',
    library_type: 'technical',
    owner_username: 'ada',
  })
  await graph.putLibrary({
    ...library,
    ...novels,
    uid: NOVELS,
    name: 'Novels',
    library_type: 'fiction',
    owner_username: 'ada',
  })
  await graph.putLibrary({
    ...library,
    ...manuals,
    uid: BOBS,
    name: 'Bob’s',
    library_type: 'technical',
    owner_username: 'bob',
  })
  for (const [collection, library_uid] of [
    [SHELF, MANUALS],
    [BOBS_SHELF, BOBS],
  ] as const) {
    await graph.putCollection({
      uid: collection,
      library_uid,
      name: 'Shelf',
      description: '',
      created_at: NOW,
      updated_at: NOW,
    })
  }
  for (const document of DOCUMENTS) await put(graph, document)
}

export async function put(
  graph: GraphStore,
  { library, title, passages, concepts = [], collection, unembedded = false, starts, sections }: Document,
): Promise<void> {
  const item_uid = uid(`item ${title}`)
  const startOf = (index: number): number =>
    starts?.[index] ?? (index === 0 ? 0 : startOf(index - 1) + passages[index - 1]!.length + 2)
  await graph.putItem({
    uid: item_uid,
    library_uid: library,
    collection_uid: collection ?? null,
    title,
    item_type: 'document',
    file_type: 'text/plain',
    file_size: 1,
    s3_key: null,
    content_hash: null,
    source: 'upload',
    source_ref: null,
    metadata: {},
    embedding_status: 'pending',
    error: null,
    created_at: NOW,
    updated_at: NOW,
  })
  await graph.replaceItemContent({
    item_uid,
    library_uid: library,
    version: 1,
    title,
    content_hash: '',
    embedding_model: unembedded ? null : 'words',
    updated_at: NOW,
    concepts: [
      { key: conceptKey(title)!, name: title, kind: 'title' },
      ...concepts.map((name) => ({ key: conceptKey(name)!, name, kind: 'named' as const })),
    ],
    chunks: passages.map((text, chunk_index) => ({
      chunk_uid: uid(`${title} ${chunk_index}`),
      chunk_index,
      text,
      section_path: sections?.[chunk_index] ?? ['Part'],
      page: chunk_index + 1,
      char_start: startOf(chunk_index),
      char_end: startOf(chunk_index) + text.length,
      token_count: 10,
      embedding: unembedded ? null : vectorOf(text),
      embedding_key: null,
    })),
  })
}
