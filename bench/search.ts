import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SearchAnswer } from '@mnemosyne/contracts'
import { queryTerms } from '@mnemosyne/graph'
import type { RunningSystem } from '../test/system/harness.ts'
import { type Bench, say } from './bench.ts'
import { type FilledFolder, openGraph } from './filled-folder.ts'
import { percentile, type Report, spread } from './report.ts'
import { startSystem } from './system.ts'

/** Searches of one kind before those of the next kind have their turn. */
const IN_A_ROW = 20
const WORDS_A_QUESTION = 8
const VECTOR_K = 50
const FULLTEXT_K = 30

/** Where a search spends its time, over REST through the gateway, beside the model and the store alone. */
export async function measureSearch(bench: Bench): Promise<Report> {
  const measured = []
  for (const chunks of bench.sizes.stores) measured.push(await searchIn(bench, chunks))
  const stages = [...measured.at(-1)!.uncached.keys()]
  const columns = measured.flatMap(({ chunks, uncached, cached }) => [
    { head: `${chunks.toLocaleString('en')} chunks, new query`, times: uncached },
    { head: 'repeated query', times: cached, chunks },
  ])
  const last = measured.at(-1)!
  const cells = (stage: string) => columns.map(({ times }) => spread(times.get(stage) ?? []))
  return {
    title: 'Search by stage',
    about: `Questions of ${WORDS_A_QUESTION} words over all of the store with all three retrievers and ${10} hits, one after another, through the gateway's socket; ${bench.sizes.searches} of each kind. Times in milliseconds: p50 / p95 / p99. The vector of a repeated query is known already. Model and store alone are asked the same questions in the same minutes: the store for ${VECTOR_K} by vector and ${FULLTEXT_K} by full text, one after the other.`,
    columns: ['', ...columns.map(({ head }) => head)],
    rows: [
      ...stages.map((stage) => [labelOf(stage), ...cells(stage)]),
      ['**seen by the client**', ...columns.map(({ times }) => `**${spread(times.get(CLIENT)!)}**`)],
      ['bare model, query', ...measured.flatMap(({ model }) => [spread(model), ''])],
      ['bare store: by vector', ...measured.flatMap(({ byVector }) => [spread(byVector), ''])],
      ['bare store: by full text', ...measured.flatMap(({ byText }) => [spread(byText), ''])],
    ].filter(([label]) => label !== CLIENT),
    notes: [
      '`embed` then `vector`, `fulltext` and `graph` run at the same time, so the stages add up to more than the whole; `graph` and `fuse` come in two halves, before and after the first scores. "In the service" is the time inside the search service; the rest up to the client is gateway, contracts and HTTP.',
      `Aim: p50 under 25 ms at ${last.chunks.toLocaleString('en')} chunks for a new query, of which the model takes about 8.`,
    ],
    figures: Object.fromEntries(
      measured.flatMap(({ chunks, uncached, cached, model }) => [
        [`new_${chunks}_p50_ms`, percentile(uncached.get(CLIENT)!, 0.5)],
        [`new_${chunks}_p95_ms`, percentile(uncached.get(CLIENT)!, 0.95)],
        [`repeated_${chunks}_p50_ms`, percentile(cached.get(CLIENT)!, 0.5)],
        [`repeated_${chunks}_p95_ms`, percentile(cached.get(CLIENT)!, 0.95)],
        [`model_${chunks}_p50_ms`, percentile(model, 0.5)],
      ]),
    ),
  }
}

/** By stage, milliseconds of each search. */
type Times = Map<string, number[]>

const CLIENT = 'client'
const labelOf = (stage: string) => (stage === 'total' ? 'in the service' : stage)

async function searchIn(bench: Bench, chunks: number) {
  const filled = await bench.filled(chunks)
  const model = await bench.model()
  const copy = await copyOfStore(bench, filled)
  await using graph = await openGraph(copy)
  await using system = await startSystem(filled.dataDir, filled.token)
  const scope = { libraries: [filled.large, filled.small.uid] }
  const times = {
    uncached: new Map() as Times,
    cached: new Map() as Times,
    model: [] as number[],
    byVector: [] as number[],
    byText: [] as number[],
  }
  const turn = async (count: number) => {
    const questions = Array.from({ length: count }, () => filled.question(WORDS_A_QUESTION))
    for (const question of questions) await timedSearch(system, question, times.uncached)
    for (const question of questions) await timedSearch(system, question, times.cached)
    const vectors: Float32Array[] = []
    for (const question of questions) {
      await timed(times.model, async () => vectors.push(await model.embedQuery(question, { cache: false })))
    }
    for (const [n, question] of questions.entries()) {
      const text = queryTerms(question)
      await timed(times.byVector, () => graph.vectorCandidates(scope, vectors[n]!, VECTOR_K))
      await timed(times.byText, () => graph.fullTextCandidates(scope, text, FULLTEXT_K))
    }
  }

  say(`searching ${chunks} chunks`)
  await turn(IN_A_ROW)
  for (const kind of Object.values(times)) Array.isArray(kind) ? kind.splice(0) : kind.clear()
  for (let done = 0; done < bench.sizes.searches; done += IN_A_ROW) await turn(IN_A_ROW)
  return { chunks, ...times }
}

/** The product has the original open. */
async function copyOfStore(bench: Bench, { dataDir }: FilledFolder): Promise<string> {
  const folder = bench.newFolder()
  await mkdir(folder)
  await copyFile(join(dataDir, 'graph.db'), join(folder, 'graph.db'))
  return join(folder, 'graph.db')
}

async function timedSearch(system: RunningSystem, query: string, times: Times): Promise<void> {
  const started = performance.now()
  const { status, text, body } = await system.call('POST', '/library/api/search/', { query, limit: 10 })
  const took = performance.now() - started
  const answer = body as SearchAnswer
  if (status !== 200 || answer.degraded.length > 0)
    throw new Error(`The search went wrong: ${status} ${text}`)
  for (const [stage, ms] of [...Object.entries(answer.timings_ms), [CLIENT, took] as const]) {
    const known = times.get(stage)
    if (known) known.push(ms)
    else times.set(stage, [ms])
  }
}

async function timed(times: number[], work: () => Promise<unknown>): Promise<void> {
  const started = performance.now()
  await work()
  times.push(performance.now() - started)
}
