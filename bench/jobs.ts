import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Cluster } from '../scripts/distributed/cluster.ts'
import type { DistributedSystem } from '../test/system/distributed-system.ts'
import { type Bench, say } from './bench.ts'
import { Corpus } from './corpus.ts'
import { busySeconds } from './processes.ts'
import { mean, percent, type Report } from './report.ts'
import { createLibrary, ingest } from './system.ts'

/** Workers in each round; in this order, so that neither comes after the other more often. */
const ROUNDS = [1, 2, 2, 1]
/** As an endpoint over the network takes for a few passages. */
const LATENCY_MS = 250
const WORDS_A_DOCUMENT = 120
const WARM_UP_DOCUMENTS = 8
const WORKSPACE = 'jobs'

interface Round {
  workers: number
  jobsASecond: number
  /** Share of all processors that was busy with anything. */
  busy: number
}

/** Jobs a second with one and with two worker processes that take one job each at a time. */
export async function measureJobs(bench: Bench): Promise<Report> {
  await using model = await startFakeModel(LATENCY_MS)
  const embedding = { EMBEDDING_BASE_URL: model.url, EMBEDDING_MODEL: 'hashed', EMBEDDING_DIMENSIONS: '384' }
  await using system = await bench.servers.system(
    bench.neo4j,
    { replicas: { ingest: 3 }, envOf: { ingest: embedding, search: embedding } },
    startWithWorkers,
  )
  await createLibrary(system, WORKSPACE)
  const corpus = new Corpus(4)
  const rounds: Round[] = []
  for (const workers of ROUNDS) {
    say(`jobs, ${workers} workers`)
    rounds.push(await round(bench, system, corpus, workers))
  }
  const of = (workers: number) => rounds.filter((one) => one.workers === workers)
  const rate = (workers: number) => mean(of(workers).map(({ jobsASecond }) => jobsASecond))
  const busy = (workers: number) => percent(mean(of(workers).map((one) => one.busy)))
  const row = (workers: number) => [
    `${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    rate(workers).toFixed(2),
    of(workers)
      .map(({ jobsASecond }) => jobsASecond.toFixed(2))
      .join(', '),
    busy(workers),
  ]
  const ratio = rate(2) / rate(1)
  return {
    title: 'Jobs a second with one and two workers',
    about: `${bench.sizes.jobs} documents of ${WORDS_A_DOCUMENT} words a round (Markdown, HTML, text and PDF in equal parts), uploaded over REST, from the first upload to the end of the last job. Uploads go to an ingest process that runs no jobs; each worker is an ingest process with \`WORKER_CONCURRENCY=1\`. The model is a fake endpoint in a process of its own that answers after ${LATENCY_MS} ms.`,
    columns: ['', 'jobs/s', 'round by round', 'processors busy'],
    rows: [row(1), row(2), ['**ratio** (aim: 1.7 or more)', `**${ratio.toFixed(2)}**`, '', '']],
    notes: [
      '"Processors busy" is of the whole machine, stores and clients included: where it comes near to 100 %, more workers can not do more.',
    ],
    figures: { one_per_s: rate(1), two_per_s: rate(2), ratio },
  }
}

/** The first ingest process takes uploads and no jobs, and the gateway knows only it. */
function startWithWorkers(cluster: Cluster): void {
  const { ingest: processes, gateway, ...others } = cluster.processes
  const [front, ...workers] = processes
  for (const process of Object.values(others).flat()) process.start()
  for (const process of gateway) process.start({ INGEST_URL: front!.url })
  front!.start({ WORKER_QUEUES: 'default' })
  for (const worker of workers) worker.start({ WORKER_QUEUES: 'embedding', WORKER_CONCURRENCY: '1' })
}

async function round(
  bench: Bench,
  system: DistributedSystem,
  corpus: Corpus,
  workers: number,
): Promise<Round> {
  const second = system.cluster.processes.ingest[2]!
  await second.stop()
  if (workers === 2) {
    second.start()
    await second.ready()
  }
  const documents = (count: number) => Array.from({ length: count }, () => corpus.document(WORDS_A_DOCUMENT))
  await ingest(system, WORKSPACE, documents(WARM_UP_DOCUMENTS))
  const before = await busySeconds()
  const files = documents(bench.sizes.jobs)
  const { took } = await ingest(system, WORKSPACE, files)
  const after = await busySeconds()
  return {
    workers,
    jobsASecond: files.length / (took / 1000),
    busy: (after.busy - before.busy) / (after.all - before.all),
  }
}

async function startFakeModel(latencyMs: number): Promise<AsyncDisposable & { url: string }> {
  const program = fileURLToPath(
    new URL('../packages/models/src/testing/embedding-server-main.ts', import.meta.url),
  )
  const child = spawn(process.execPath, [program, '--latency', String(latencyMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
  return {
    url: line.trim(),
    async [Symbol.asyncDispose]() {
      process.off('exit', killWithUs)
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
    },
  }
}
