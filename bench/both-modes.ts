import { join } from 'node:path'
import type { SearchAnswer } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import type { SystemClient } from '../test/system/client.ts'
import { type Bench, say } from './bench.ts'
import { openGraph } from './filled-folder.ts'
import { MadeUpContent, type MadeUpItem, store } from './made-up-content.ts'
import { mean, percentile, type Report, seconds, spread } from './report.ts'
import { openNeo4j } from './servers.ts'
import { createLibrary, startSystem } from './system.ts'

/** Searches of one kind before those of the next kind have their turn. */
const IN_A_ROW = 20
/** Turns that do not count: the server compiles what is asked often. */
const WARM_UP_TURNS = 3
const LONGEST_MS = 180_000
const WORDS_A_QUESTION = 8
const HITS = 10
const CALLERS = 4
const CHUNKS_AN_ITEM = 100
const ITEMS_AT_ONCE = 4

/** By stage, milliseconds of each search. */
type Times = Map<string, number[]>
const CLIENT = 'client'

/** How the product runs, with what is measured of it at the present size. */
interface Mode {
  name: string
  library: string
  open: () => Promise<SystemClient>
  graph: () => Promise<GraphStore>
  /** Ends what `open` began, where the store is a file of one process. */
  release: () => Promise<unknown>
}

interface Measured {
  fresh: Times
  repeated: Times
  /** Searches a second. */
  rates: number[]
}

/**
 * The same content through the graph port into both, which grow from size to size; the same questions over REST, in turns.
 * One table a size.
 */
export async function* measureBothModes(bench: Bench): AsyncGenerator<Report> {
  await using closing = new AsyncDisposableStack()
  const modes = [await oneProcess(bench, closing), await apart(bench, closing)]
  const { dimensions } = (await bench.model()).model
  const made = new MadeUpContent(dimensions, 3)
  let stored = 0
  for (const size of bench.sizes.bothModes) {
    const filling: string[] = []
    const items = itemsOf(made, size - stored)
    for (const mode of modes) {
      await mode.release()
      const took = await fill(mode, items, dimensions)
      filling.push(
        `${mode.name} in ${seconds(took)} (${Math.round((size - stored) / (took / 1000))} a second)`,
      )
    }
    const added = size - stored
    stored = size
    const systems: SystemClient[] = []
    for (const mode of modes) systems.push(await mode.open())
    const measured = await search(bench, systems, made)
    yield reportOf(bench, { size, added, modes, measured, filling })
  }
}

async function oneProcess(bench: Bench, closing: AsyncDisposableStack): Promise<Mode> {
  const dataDir = bench.newFolder()
  let running = await startSystem(dataDir)
  closing.defer(async () => void (await running.stop()))
  const { token } = running
  return {
    name: 'one process',
    library: await createLibrary(running, 'notes'),
    release: () => running.stop(),
    graph: () => openGraph(join(dataDir, 'graph.db')),
    async open() {
      running = await startSystem(dataDir, token)
      return running
    },
  }
}

async function apart(bench: Bench, closing: AsyncDisposableStack): Promise<Mode> {
  const system = closing.use(await bench.servers.system(bench.neo4j))
  return {
    name: `services apart, Neo4j ${bench.neo4j}`,
    library: await createLibrary(system, 'notes'),
    release: async () => {},
    graph: () => openNeo4j(system.servers.neo4jUrl),
    open: async () => system,
  }
}

function itemsOf(made: MadeUpContent, chunks: number): MadeUpItem[] {
  return Array.from({ length: Math.ceil(chunks / CHUNKS_AN_ITEM) }, (_, n) =>
    made.item(Math.min(CHUNKS_AN_ITEM, chunks - n * CHUNKS_AN_ITEM)),
  )
}

/** Milliseconds that it took. */
async function fill(
  { name, graph, library }: Mode,
  items: MadeUpItem[],
  dimensions: number,
): Promise<number> {
  await using opened = await graph()
  const started = performance.now()
  await opened.setUpVectors(dimensions)
  let done = 0
  const waiting = items.entries()
  const writer = async () => {
    for (const [n, item] of waiting) {
      await store(opened, library, item)
      done += item.chunks.length
      if (n % 20 === 19) say(`${name}: ${done} chunks, ${seconds(performance.now() - started)}`)
    }
  }
  await Promise.all(Array.from({ length: ITEMS_AT_ONCE }, writer))
  return performance.now() - started
}

async function search(bench: Bench, systems: SystemClient[], made: MadeUpContent): Promise<Measured[]> {
  say('searching in both modes')
  const measured = systems.map((): Measured => ({ fresh: new Map(), repeated: new Map(), rates: [] }))
  const turn = async (into: Measured[]) => {
    const questions = Array.from({ length: IN_A_ROW }, () => made.question(WORDS_A_QUESTION))
    for (const [n, system] of systems.entries()) {
      for (const question of questions) await timedSearch(system, question, into[n]!.fresh)
      for (const question of questions) await timedSearch(system, question, into[n]!.repeated)
    }
  }
  const aside = systems.map((): Measured => ({ fresh: new Map(), repeated: new Map(), rates: [] }))
  for (let n = 0; n < WARM_UP_TURNS; n++) await turn(aside)
  const until = performance.now() + LONGEST_MS
  for (let done = 0; done < bench.sizes.searches && performance.now() < until; done += IN_A_ROW) {
    await turn(measured)
  }
  for (let round = 0; round < 2; round++) {
    for (const [n, system] of systems.entries()) {
      measured[n]!.rates.push(await searchesASecond(system, made, bench.sizes.callersSeconds / 2))
    }
  }
  return measured
}

async function timedSearch(system: SystemClient, query: string, times: Times): Promise<void> {
  const started = performance.now()
  const answer = await ask(system, query)
  const took = performance.now() - started
  for (const [stage, ms] of [...Object.entries(answer.timings_ms), [CLIENT, took] as const]) {
    const known = times.get(stage)
    if (known) known.push(ms)
    else times.set(stage, [ms])
  }
}

async function ask(system: SystemClient, query: string): Promise<SearchAnswer> {
  const { status, text, body } = await system.call('POST', '/library/api/search/', { query, limit: HITS })
  const answer = body as SearchAnswer
  if (status !== 200 || answer.degraded.length > 0)
    throw new Error(`The search went wrong: ${status} ${text}`)
  if (answer.candidates.length === 0) throw new Error('The search found nothing.')
  return answer
}

/** New queries from several callers at once, each asking the next when the last is answered. */
async function searchesASecond(
  system: SystemClient,
  made: MadeUpContent,
  forSeconds: number,
): Promise<number> {
  const started = performance.now()
  const until = started + forSeconds * 1000
  let answered = 0
  const caller = async () => {
    while (performance.now() < until) {
      await ask(system, made.question(WORDS_A_QUESTION))
      answered++
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  return answered / ((performance.now() - started) / 1000)
}

function reportOf(
  bench: Bench,
  found: { size: number; added: number; modes: Mode[]; measured: Measured[]; filling: string[] },
): Report {
  const { size, added, modes, measured, filling } = found
  const columns = measured.flatMap(({ fresh, repeated }, n) => [
    { head: `${modes[n]!.name}: new query`, times: fresh },
    { head: 'repeated query', times: repeated },
  ])
  const stages = [...measured[0]!.fresh.keys()].filter((stage) => stage !== CLIENT)
  const cells = (stage: string) => columns.map(({ times }) => spread(times.get(stage) ?? []))
  const count = measured[0]!.fresh.get(CLIENT)!.length
  const outside = ({ times }: { times: Times }) =>
    spread(times.get(CLIENT)!.map((ms, n) => ms - times.get('total')![n]!))
  return {
    title: `Search in both modes, ${size.toLocaleString('en')} chunks`,
    about: `Questions of ${WORDS_A_QUESTION} words over all of the store with all three retrievers and ${HITS} hits, one after another, through the gateway's socket; ${count} of each kind, in turns of ${IN_A_ROW}. Times in milliseconds: p50 / p95 / p99.`,
    columns: ['', ...columns.map(({ head }) => head)],
    rows: [
      ...stages.map((stage) => [stage === 'total' ? 'in the search service' : stage, ...cells(stage)]),
      ['around the search service', ...columns.map(outside)],
      ['**seen by the client**', ...cells(CLIENT).map((cell) => `**${cell}**`)],
      [`searches/s, ${CALLERS} callers`, ...measured.flatMap(({ rates }) => [mean(rates).toFixed(1), ''])],
    ],
    notes: [`${added.toLocaleString('en')} chunks added through the graph port: ${filling.join('; ')}.`],
    figures: Object.fromEntries(
      measured.flatMap(({ fresh, repeated, rates }, n) => {
        const name = n === 0 ? 'one_process' : `apart_${bench.neo4j.replace('.', '_')}`
        return [
          [`${name}_${size}_new_p50_ms`, percentile(fresh.get(CLIENT)!, 0.5)],
          [`${name}_${size}_new_p95_ms`, percentile(fresh.get(CLIENT)!, 0.95)],
          [`${name}_${size}_repeated_p50_ms`, percentile(repeated.get(CLIENT)!, 0.5)],
          [`${name}_${size}_repeated_p95_ms`, percentile(repeated.get(CLIENT)!, 0.95)],
          [`${name}_${size}_searches_per_s`, mean(rates)],
        ]
      }),
    ),
  }
}
