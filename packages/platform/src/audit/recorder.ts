import { setTimeout as wait } from 'node:timers/promises'
import {
  AUDIT_RECORDS_MAX,
  type AuditRecord,
  type authInternalContract,
  CallError,
  type Client,
  servicePrincipal,
} from '@mnemosyne/contracts'
import type { Signer } from '../assertion.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Metrics } from '../telemetry.ts'
import { within } from '../within.ts'
import { Folding } from './folding.ts'
import { type Actor, type Audited, auditRecord } from './record.ts'

/**
 * Tells the audit log what was done, for those who have no outbox. Both ways of telling return at once and never
 * throw: what is told waits in memory and goes to auth in batches, so that the last second of a process that is
 * killed is lost.
 */
export interface AuditRecorder extends AsyncDisposable {
  /** A row of its own. */
  record(by: Actor, what: Audited): void
  /**
   * One row for all that are alike within a minute, with their number. `coarse` says the same without what tells
   * instances apart (an address, a path): it takes the place of `what` for an actor who brings too many of them.
   */
  recordAlike(by: Actor, what: Audited, coarse: Audited): void
  /** Hands over what waits, as far as auth takes it within a second and a half. Idempotent. */
  stop(): Promise<void>
}

export interface AuditRecorderOptions {
  /** Called as a service. */
  auth: Pick<Client<typeof authInternalContract>, 'recordAudit'>
  sign: Signer
  clock: Clock
  ids: () => string
  log: Logger
  metrics: Metrics
  /** Default 1,000. */
  flushMs?: number
  /** Default 60,000. */
  foldMs?: number
  /** Records that wait while auth is away; beyond them they are dropped, and counted. Default 5,000. */
  mostWaiting?: number
}

const SEND_MS = 2_000
const STOP_MS = 1_500
const LONGEST_PAUSE_MS = 10_000

export function startAuditRecorder(options: AuditRecorderOptions): AuditRecorder {
  return new BatchingRecorder(options)
}

class BatchingRecorder implements AuditRecorder {
  readonly #options: AuditRecorderOptions
  readonly #mostWaiting: number
  readonly #count: ReturnType<typeof instruments>
  readonly #folding: Folding
  /** In the order in which they go out. */
  readonly #waiting: AuditRecord[] = []
  readonly #timer: NodeJS.Timeout
  #flushing = Promise.resolve()
  #stopped: Promise<void> | undefined
  #failures = 0
  #pauseUntil = 0
  /** Since auth was last heard of. */
  #dropped = 0

  constructor(options: AuditRecorderOptions) {
    this.#options = options
    this.#mostWaiting = options.mostWaiting ?? 5_000
    this.#count = instruments(options.metrics)
    this.#folding = new Folding(options)
    const flushMs = options.flushMs ?? 1_000
    let busy = false
    this.#timer = setInterval(() => {
      if (busy) return
      busy = true
      this.#flushing = this.#flush().finally(() => {
        busy = false
      })
    }, flushMs)
    this.#timer.unref()
  }

  record(by: Actor, what: Audited): void {
    this.#enqueue([auditRecord(by, what, this.#options)])
  }

  recordAlike(by: Actor, what: Audited, coarse: Audited): void {
    const record = auditRecord(by, what, this.#options)
    if (this.#stopped) this.#drop('stopped', 1)
    else if (!this.#folding.add(record, coarse)) this.#drop('full', 1)
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#finish()
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #enqueue(records: AuditRecord[]): void {
    const room = this.#stopped ? 0 : Math.max(0, this.#mostWaiting - this.#waiting.length)
    this.#waiting.push(...records.slice(0, room))
    for (const { count } of records.slice(room)) this.#drop(this.#stopped ? 'stopped' : 'full', count)
    this.#count.waiting(this.#waiting.length)
  }

  /** Hands over what is due, batch by batch, until auth does not answer. Never rejects. */
  async #flush(): Promise<void> {
    const now = performance.now()
    this.#enqueue(this.#folding.take(now))
    if (now >= this.#pauseUntil) await this.#sendWaiting()
  }

  async #sendWaiting(patienceMs = SEND_MS): Promise<boolean> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, AUDIT_RECORDS_MAX)
      try {
        await this.#send(batch, patienceMs)
      } catch (error) {
        this.#failed(error)
        return false
      }
      this.#waiting.splice(0, batch.length)
      this.#count.waiting(this.#waiting.length)
      this.#recovered()
    }
    return true
  }

  /** What auth does not understand is given up, record by record, so that it holds up no other. */
  async #send(records: AuditRecord[], patienceMs: number): Promise<void> {
    try {
      await within(patienceMs, async (signal) => {
        const assertion = await this.#options.sign(servicePrincipal('rest'), 'auth')
        const context = { delegations: { auth: assertion } }
        await this.#options.auth.recordAudit({ records }, { context, signal })
      })
      this.#count.sent({}, records.length)
    } catch (error) {
      if (!(error instanceof CallError) || (error.status !== 400 && error.status !== 413)) throw error
      if (records.length > 1) for (const record of records) await this.#send([record], patienceMs)
      else {
        this.#options.log.error({ err: error, action: records[0]!.action }, 'auth refuses an audit record')
        this.#drop('refused', records[0]!.count)
      }
    }
  }

  #failed(err: unknown): void {
    this.#failures += 1
    this.#pauseUntil = performance.now() + Math.min(LONGEST_PAUSE_MS, 500 * 2 ** this.#failures)
    if (this.#failures === 1) this.#options.log.warn({ err }, 'records for the audit log wait')
  }

  #recovered(): void {
    if (this.#failures > 0)
      this.#options.log.info({ dropped: this.#dropped }, 'the audit log is written again')
    this.#failures = 0
    this.#dropped = 0
  }

  #drop(reason: 'full' | 'refused' | 'stopped', count: number): void {
    if (this.#dropped === 0) this.#options.log.error({ reason }, 'records for the audit log are dropped')
    this.#dropped += count
    this.#count.dropped({ reason }, count)
  }

  async #finish(): Promise<void> {
    clearInterval(this.#timer)
    const deadline = performance.now() + STOP_MS
    this.#waiting.push(...this.#folding.take(performance.now(), { all: true }))
    await this.#flushing
    for (let left = STOP_MS; left > 0; left = deadline - performance.now()) {
      if (await this.#sendWaiting(left)) return
      await wait(100)
    }
    for (const { count } of this.#waiting) this.#drop('stopped', count)
    this.#waiting.length = 0
  }
}

function instruments(metrics: Metrics) {
  const dropped = metrics.counter(
    'mnemosyne_audit_dropped_total',
    'What should stand in the audit log and does not.',
    ['reason'],
  )
  for (const reason of ['full', 'refused', 'stopped']) dropped({ reason }, 0)
  return {
    dropped,
    sent: metrics.counter('mnemosyne_audit_sent_total', 'Records that auth has taken into the audit log.'),
    waiting: metrics.gauge('mnemosyne_audit_waiting', 'Records that wait to be taken into the audit log.'),
  }
}
