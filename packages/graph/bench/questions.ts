/**
 * Measures a graph store on made-up text: `node packages/graph/bench/questions.ts [chunks] [dimensions] [--neo4j URL]`,
 * the embedded one or an empty Neo4j.
 * Words follow Zipf's law, a few hundred of the names are concepts, one library holds a hundredth of the chunks.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createLog, Metrics, systemClock } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import {
  conceptKeys,
  type GraphStore,
  openEmbeddedGraph,
  openNeo4jGraph,
  queryTerms,
  type Scope,
} from '../src/index.ts'
import { chunkContent, concept, itemContent, itemNode, libraryNode } from '../src/testing/index.ts'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { neo4j: { type: 'string' } },
})
const CHUNKS = Number(positionals[0] ?? 20_000)
const DIMENSIONS = Number(positionals[1] ?? 384)
const CHUNKS_PER_ITEM = 50
const WORDS_PER_CHUNK = 180
const VOCABULARY = 60_000
const ROUNDS = 100

const STOPS = 'the of and to in is that it was for on are as with his they at be this from or had by'.split(
  ' ',
)

const random = seeded(7)
const cumulative = zipf(VOCABULARY)
const rows: { what: string; p50: string; p95: string }[] = []

const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-bench-'))
const file = join(folder, 'graph.db')
const options = {
  log: createLog({ component: 'bench', level: 'error' }),
  metrics: new Metrics(new Registry(), 'bench'),
  clock: systemClock,
}

const open = () =>
  flags.neo4j ? openNeo4jGraph({ ...options, url: flags.neo4j }) : openEmbeddedGraph({ ...options, file })

try {
  let graph = await open()
  const idle = process.memoryUsage().rss
  await graph.setUpVectors(DIMENSIONS)
  const filling = await fill(graph)
  await graph.close()

  const opening = performance.now()
  graph = await open()
  const opened = performance.now() - opening
  const before = process.memoryUsage().rss
  const first = performance.now()
  await graph.vectorCandidates({ libraries: 'all' }, randomVector(), 50)
  const cold = performance.now() - first
  const firstText = performance.now()
  await graph.fullTextCandidates({ libraries: 'all' }, queryTerms(word()), 30)
  const coldText = performance.now() - firstText
  await ask(graph)
  const after = process.memoryUsage().rss
  await graph.close()

  console.log(`${CHUNKS} chunks of ${WORDS_PER_CHUNK} words, ${DIMENSIONS} dimensions\n`)
  console.table(rows)
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
  console.log(
    [
      `stored ${filling.rate.toFixed(0)} chunks/s, ${filling.concepts} concepts, ${filling.mentions} mentions`,
      ...(flags.neo4j ? [] : [`file ${mb((await stat(file)).size)}`]),
      `open ${opened.toFixed(0)} ms, first vector question ${cold.toFixed(0)} ms, first text question ${coldText.toFixed(0)} ms`,
      `memory ${mb(idle)} with an empty store, ${mb(before)} opened, ${mb(after)} after the questions`,
    ].join('\n'),
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function fill(graph: GraphStore): Promise<{ rate: number; concepts: number; mentions: number }> {
  for (const uid of ['large', 'small']) await graph.putLibrary(libraryNode(uid))
  let spent = 0
  for (let n = 0; n < CHUNKS / CHUNKS_PER_ITEM; n++) {
    const library = n % 100 === 0 ? 'small' : 'large'
    const title = `${name()} ${name()}`
    const texts = Array.from({ length: CHUNKS_PER_ITEM }, text)
    const concepts = [
      concept(title, 'title'),
      ...namesIn(texts).map((one) => concept(one)),
      ...phrasesIn(texts),
    ]
    const chunks = texts.map((one, i) => ({
      ...chunkContent(`item ${n} chunk ${i}`, one),
      embedding: randomVector(),
      embedding_key: `${n} ${i}`,
    }))
    const from = performance.now()
    await graph.putItem(itemNode(`item ${n}`, library, { title }))
    await graph.replaceItemContent(itemContent(`item ${n}`, library, chunks, { title, concepts }))
    spent += performance.now() - from
    if (n % 40 === 39)
      process.stderr.write(
        `${(n + 1) * CHUNKS_PER_ITEM} chunks, ${((CHUNKS_PER_ITEM * (n + 1)) / (spent / 1000)).toFixed(0)}/s\n`,
      )
  }
  return { rate: CHUNKS / (spent / 1000), ...(await graph.stats()) }
}

async function ask(graph: GraphStore): Promise<void> {
  const all: Scope = { libraries: 'all' }
  const both: Scope = { libraries: ['large', 'small'] }
  const large: Scope = { libraries: ['large'] }
  const small: Scope = { libraries: ['small'] }
  const queries = Array.from({ length: ROUNDS }, () => queryTerms(Array.from({ length: 9 }, word).join(' ')))
  const common = queryTerms([0, 1, 2].map(spelled).join(' '))
  for (const [scopeName, scope] of Object.entries({ all, large, small })) {
    await measure(`vectorCandidates, 50, ${scopeName}`, () =>
      graph.vectorCandidates(scope, randomVector(), 50),
    )
    await measure(`fullTextCandidates, 30, ${scopeName}`, (i) =>
      graph.fullTextCandidates(scope, queries[i]!, 30),
    )
  }
  await measure('fullTextCandidates, the three commonest words', () =>
    graph.fullTextCandidates(both, common, 30),
  )
  await measure('fullTextCandidates, phrase', () =>
    graph.fullTextCandidates(both, queryTerms(`"${word()} ${word()}" ${word()}`), 30),
  )
  for (const [scopeName, scope] of Object.entries({ all, large })) {
    await measure(`conceptsNamed, 12 words, ${scopeName}`, () =>
      graph.conceptsNamed(
        scope,
        conceptKeys(`${name()} ${name()} ${Array.from({ length: 10 }, word).join(' ')}`),
      ),
    )
    await measure(`mentions of 56 chunks, ${scopeName}`, () => graph.mentions(scope, chunkUids(56)))
  }
  const { concepts } = await graph.concepts(all, {}, { limit: 200, offset: 0 })
  await measure('chunksMentioning, 60 concepts, 50 each', (i) =>
    graph.chunksMentioning(
      large,
      concepts.slice(i, i + 60).map((one) => one.concept_uid),
      50,
    ),
  )
  await measure('linkedChunks, 60 concepts, 80 among, 100 others', (i) =>
    graph.linkedChunks(
      large,
      concepts.slice(i, i + 60).map(({ concept_uid }, n) => ({ concept_uid, weight: 1 / (n + 1) })),
      { among: chunkUids(80), others: 100 },
    ),
  )
  await measure('titleConcepts of 56', () => graph.titleConcepts(large, chunkUids(56)))
  await measure('scoreChunks, 50', (i) =>
    graph.scoreChunks(large, chunkUids(50), { vector: randomVector(), terms: queries[i]!.terms }),
  )
  await measure('neighbours of 56', () => graph.neighbours(large, chunkUids(56)))
  await measure('chunkDetails of 20', () => graph.chunkDetails(large, chunkUids(20)))
  await measure('listItems, 50', () => graph.listItems(large, { page: { limit: 50, offset: 100 } }))
  await measure('conceptNeighbourhood, depth 2', (i) =>
    graph.conceptNeighbourhood(all, concepts[i]!.concept_uid, 2),
  )
}

async function measure(what: string, question: (round: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < 5; i++) await question(i)
  const times: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const from = performance.now()
    await question(i)
    times.push(performance.now() - from)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => `${times[Math.floor(times.length * share)]!.toFixed(2)} ms`
  rows.push({ what, p50: at(0.5), p95: at(0.95) })
}

function text(): string {
  return Array.from({ length: WORDS_PER_CHUNK }, () => {
    const roll = random()
    return roll < 0.03
      ? name()
      : roll < 0.06
        ? `${word()}.`
        : roll < 0.45
          ? STOPS[Math.floor(random() * STOPS.length)]!
          : word()
  }).join(' ')
}

function word(): string {
  const goal = random() * cumulative.at(-1)!
  let low = 0
  let high = cumulative.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (cumulative[middle]! < goal) low = middle + 1
    else high = middle
  }
  return spelled(low)
}

/** The n-th most frequent word, in letters. */
function spelled(n: number): string {
  return `w${n.toString(26).replace(/[0-9]/g, (digit) => String.fromCharCode(113 + Number(digit)))}`
}

function name(): string {
  return `Name${word()}`
}

function namesIn(texts: string[]): string[] {
  return [...new Set(texts.flatMap((one) => one.match(/Name\w+/g) ?? []))]
}

/** Two-word runs, as key-phrase extraction would keep them. */
function phrasesIn(texts: string[]) {
  return [...new Set(texts.flatMap((one) => one.match(/\bw\w+ w\w+/g) ?? []))]
    .slice(0, 300)
    .map((one) => concept(one, 'phrase'))
}

function chunkUids(count: number): string[] {
  return Array.from({ length: count }, () => {
    const chunk = Math.floor(random() * CHUNKS)
    return `item ${Math.floor(chunk / CHUNKS_PER_ITEM)} chunk ${chunk % CHUNKS_PER_ITEM}`
  })
}

function randomVector(): Float32Array {
  return Float32Array.from({ length: DIMENSIONS }, () => random() - 0.5)
}

function zipf(size: number): Float64Array {
  const sums = new Float64Array(size)
  let sum = 0
  for (let i = 0; i < size; i++) {
    // As in running text without stop words: the commonest stands in a sixth of the chunks.
    sum += 1 / (i + 80)
    sums[i] = sum
  }
  return sums
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
