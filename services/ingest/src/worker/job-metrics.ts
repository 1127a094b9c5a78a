import type { JobStage } from '@mnemosyne/contracts'
import {
  beginSpan,
  type Clock,
  type Logger,
  type Metrics,
  type Sql,
  span,
  untraced,
} from '@mnemosyne/platform'
import { pendingBacklog } from '../store/jobs.ts'
import type { IngestTables, JobRow } from '../store/tables.ts'

/** How a worker's run of a job came to its end. Only the first four end the job. */
export type JobOutcome =
  | 'completed'
  | 'superseded'
  | 'failed'
  | 'cancelled'
  /** A fault that may pass: it will run again. */
  | 'retried'
  /** The process stops, or another worker has it. */
  | 'handed_back'
  /** Its row went with its item or library. */
  | 'gone'

const ENDS: readonly JobOutcome[] = ['completed', 'superseded', 'failed', 'cancelled']
const SECONDS = [0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800]

export interface JobMetrics {
  taken(): void
  left(outcome: JobOutcome, seconds: number): void
  stage(stage: JobStage, seconds: number): void
}

export function jobMetrics(metrics: Metrics): JobMetrics {
  const inHand = metrics.gauge('mnemosyne_jobs_in_hand', 'Jobs that this process works on.')
  const ended = metrics.counter('mnemosyne_jobs_ended_total', 'Jobs that a worker ended, by how.', [
    'outcome',
  ])
  const retries = metrics.counter(
    'mnemosyne_job_retries_total',
    'Runs of jobs that met a fault which may pass, and will be run again.',
  )
  const seconds = metrics.histogram(
    'mnemosyne_job_duration_seconds',
    'Time from claim to end of the runs of jobs, by how they ended.',
    ['outcome'],
    SECONDS,
  )
  const stage = metrics.histogram(
    'mnemosyne_job_stage_duration_seconds',
    'Time that jobs spend in each stage.',
    ['stage'],
    SECONDS,
  )
  for (const outcome of ENDS) ended({ outcome }, 0)
  let now = 0
  inHand(now)
  return {
    taken: () => inHand(++now),
    left(outcome, took) {
      inHand(--now)
      seconds(took, { outcome })
      if (ENDS.includes(outcome)) ended({ outcome })
      else if (outcome === 'retried') retries()
    },
    stage: (name, took) => stage(took, { stage: name }),
  }
}

/** The stages of one job, each in a span and timed. */
export class StageMeter {
  readonly #metrics: Pick<JobMetrics, 'stage'>
  readonly #attributes: { 'mnemosyne.job_id': string; 'user.id'?: string }
  #current: { end(error?: unknown): void } | undefined

  constructor(
    metrics: Pick<JobMetrics, 'stage'>,
    { job_id, acting_user }: Pick<JobRow, 'job_id' | 'acting_user'>,
  ) {
    this.#metrics = metrics
    this.#attributes = { 'mnemosyne.job_id': job_id, ...(acting_user !== null && { 'user.id': acting_user }) }
  }

  async around<T>(stage: JobStage, work: () => Promise<T>): Promise<T> {
    const started = performance.now()
    try {
      return await span(`ingest ${stage}`, this.#attributes, work)
    } finally {
      this.#metrics.stage(stage, (performance.now() - started) / 1000)
    }
  }

  /** A stage that was heard to begin elsewhere; it lasts until the next, or `leave`. */
  enter(stage: JobStage): void {
    this.leave()
    const started = performance.now()
    const begun = beginSpan(`ingest ${stage}`, this.#attributes)
    this.#current = {
      end: (error) => {
        begun.end(error)
        this.#metrics.stage(stage, (performance.now() - started) / 1000)
      },
    }
  }

  leave(error?: unknown): void {
    this.#current?.end(error)
    this.#current = undefined
  }
}

const LOOK_MS = 10_000

/** Looks now and then at how many jobs wait, and for how long the oldest has. Returns what ends that. */
export function watchBacklog(deps: {
  sql: Sql<IngestTables>
  clock: Clock
  log: Logger
  metrics: Metrics
}): () => Promise<void> {
  const { sql, clock, log, metrics } = deps
  const all = 'the same number from every process on one database'
  const pending = metrics.gauge('mnemosyne_jobs_pending', `Jobs that wait for a worker; ${all}.`)
  const oldest = metrics.gauge(
    'mnemosyne_jobs_oldest_pending_seconds',
    `Time since the oldest job that waits for a worker was accepted; ${all}.`,
  )
  const look = async () => {
    try {
      const waiting = await pendingBacklog(sql)
      pending(waiting.count)
      oldest(waiting.oldest ? Math.max(0, (clock().getTime() - Date.parse(waiting.oldest)) / 1000) : 0)
    } catch (err) {
      log.debug({ err }, 'the jobs that wait are not known')
    }
  }
  let looking = untraced(look)
  const timer = setInterval(() => {
    looking = looking.then(() => untraced(look))
  }, LOOK_MS)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await looking
  }
}
