import type { Selectable, Transaction } from 'kysely'
import { BacklogFull, type Bus, BusClosed, BusUnavailable } from '../bus/port.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Sql } from '../sql/port.ts'
import { type Metrics, outsideTrace, untraced } from '../telemetry.ts'
import type { OutboxRow, OutboxTables } from './outbox.ts'

export interface RelayOptions<DB extends OutboxTables> {
  sql: Sql<DB>
  bus: Pick<Bus, 'publish'>
  clock: Clock
  log: Logger
  metrics: Metrics
  /** Between looks at the table when nobody wakes it. Default 1,000. */
  intervalMs?: number
  /** How long `stop` waits for what is on its way. Default 5 s. */
  drainMs?: number
}

export interface Relay {
  /** Look now; call it after the commit of a transaction that wrote to the outbox. */
  wake(): void
  /** Takes no more, waits for what is on its way (`drainMs`), hands the rest back. Idempotent. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

type Row = Selectable<OutboxRow>
type Tx = Transaction<OutboxTables>
interface Failure {
  row: Row
  attempts: number
  delayMs: number
}

const KINDS = ['event', 'command'] as const
const BATCH = 100
/** Messages of one kind on their way at once; apart, so that a slow subscriber of events holds up no command. */
const WINDOW = 500
/** A relay that died is succeeded after this; renewed while a slow subscriber holds up a confirmation. */
const LEASE_MS = 10_000
const RENEW_MS = 3_000
const MEASURE_MS = 10_000

/**
 * Publishes the rows of the outbox in order of id and deletes each after its confirmation. A message is never
 * lost and may go out twice (a crash between the two, a confirmation that got lost); order holds while the bus
 * is up and one relay runs. Several relays may run: a row is claimed with a lease. A message that the bus
 * refuses is logged and tried again, ever more rarely, and holds up no other.
 */
export function startRelay<DB extends OutboxTables>(options: RelayOptions<DB>): Relay {
  return new OutboxRelay({ ...options, sql: options.sql as unknown as Sql<OutboxTables> })
}

class OutboxRelay implements Relay {
  readonly #options: RelayOptions<OutboxTables>
  readonly #intervalMs: number
  readonly #count: ReturnType<typeof instruments>
  readonly #sending = new Map<number, { row: Row; settled: Promise<void> }>()
  /** Settled, but not yet noted in the table. */
  readonly #sent = new Set<number>()
  readonly #failed = new Set<Failure>()
  #renewAt = 0
  #measureAt = 0
  /** Rounds in a row in which the bus or the database was away. */
  #outages = 0
  #outage: unknown
  #wake = Promise.withResolvers<void>()
  #endOutage = () => {}
  #stopping = false
  readonly #done: Promise<void>

  constructor(options: RelayOptions<OutboxTables>) {
    this.#options = options
    this.#intervalMs = options.intervalMs ?? 1_000
    this.#count = instruments(options.metrics)
    this.#done = outsideTrace(() => this.#run())
  }

  wake(): void {
    this.#wake.resolve()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.wake()
    this.#endOutage()
    await this.#done
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      // Made before the round, so that a wake during it is not missed.
      this.#wake = Promise.withResolvers()
      const full = await this.#round()
      if (!full && !this.#outage) await within(this.#idleMs(), this.#wake.promise)
      if (this.#outage) await this.#waitOut()
    }
    await this.#finish()
  }

  /** Notes what has settled, claims what is due and sends it. True when more may be due. */
  async #round(): Promise<boolean> {
    try {
      const claimed = await untraced(() => this.#exchange((tx, now) => claim(tx, this.#room(), now)))
      for (const row of claimed) this.#send(row)
      await untraced(() => this.#measure())
      return claimed.length >= BATCH
    } catch (error) {
      this.#outage = error
      return false
    }
  }

  /** One transaction that notes what has settled, keeps what is on its way, and does `more`. */
  async #exchange<T>(more: (tx: Tx, now: Date) => Promise<T>): Promise<T> {
    const now = this.#options.clock()
    const sent = [...this.#sent]
    const failed = [...this.#failed]
    const kept = now.getTime() >= this.#renewAt ? [...this.#sending.keys()] : []
    const result = await this.#options.sql.transaction(
      async (tx) => {
        if (sent.length > 0) await tx.deleteFrom('outbox').where('id', 'in', sent).execute()
        for (const failure of failed) await postpone(tx, failure, now)
        if (kept.length > 0) await setDue(tx, kept, later(now, LEASE_MS))
        return more(tx, now)
      },
      // What a power cut takes back goes out a second time.
      { durable: false },
    )
    if (kept.length > 0) this.#renewAt = now.getTime() + RENEW_MS
    for (const id of sent) this.#sent.delete(id)
    for (const failure of failed) this.#failed.delete(failure)
    return result
  }

  /** How many more of each kind may be on their way. */
  #room(): { kind: Row['kind']; room: number }[] {
    return KINDS.map((kind) => {
      const sending = [...this.#sending.values()].filter(({ row }) => row.kind === kind).length
      return { kind, room: Math.min(BATCH, WINDOW - sending) }
    })
  }

  #send(row: Row): void {
    // Its lease ran out while the database was away.
    if (this.#sending.has(row.id) || this.#sent.has(row.id)) return
    const settled = this.#publish(row)
      .then(() => {
        this.#sent.add(row.id)
        this.#recovered()
        this.#count.published({ kind: row.kind })
      })
      .catch((error) => {
        this.#failed.add(this.#failure(row, error))
        this.#count.failed({ kind: row.kind })
      })
      .finally(() => {
        this.#sending.delete(row.id)
        this.wake()
      })
    this.#sending.set(row.id, { row, settled })
  }

  async #publish(row: Row): Promise<void> {
    const { kind, destination, message_id: id } = row
    const headers = JSON.parse(row.headers) as Record<string, string>
    await this.#options.bus.publish({ kind, destination, id, body: JSON.parse(row.body), headers })
  }

  #failure(row: Row, error: unknown): Failure {
    if (error instanceof BusUnavailable || error instanceof BusClosed) {
      this.#outage ??= error
      return { row, attempts: row.attempts, delayMs: 0 }
    }
    const attempts = row.attempts + 1
    if (error instanceof BacklogFull) return { row, attempts, delayMs: backoff(attempts, 500, 5_000) }
    const { message_id, destination } = row
    this.#options.log.error({ err: error, message_id, destination, attempts }, 'the bus refuses a message')
    return { row, attempts, delayMs: backoff(attempts, 1_000, 300_000) }
  }

  /** In an outage nothing but time and `stop` goes on, or every write would try the bus again. */
  async #waitOut(): Promise<void> {
    this.#outages += 1
    if (this.#outages === 1) this.#options.log.warn({ err: this.#outage }, 'messages wait in the outbox')
    this.#outage = undefined
    const end = Promise.withResolvers<void>()
    this.#endOutage = end.resolve
    if (!this.#stopping) await within(backoff(this.#outages, 100, 5_000), end.promise)
  }

  #recovered(): void {
    if (this.#outages > 0) this.#options.log.info('messages leave the outbox again')
    this.#outages = 0
  }

  #idleMs(): number {
    return this.#sending.size > 0 ? Math.min(this.#intervalMs, RENEW_MS) : this.#intervalMs
  }

  async #measure(): Promise<void> {
    const now = this.#options.clock().getTime()
    if (now < this.#measureAt) return
    this.#measureAt = now + MEASURE_MS
    const { pending, oldest } = await this.#options.sql.read
      .selectFrom('outbox')
      .select(({ fn }) => [fn.countAll<number>().as('pending'), fn.min('created_at').as('oldest')])
      .executeTakeFirstOrThrow()
    this.#count.pending(pending)
    this.#count.oldest(oldest ? (now - Date.parse(oldest)) / 1000 : 0)
  }

  async #finish(): Promise<void> {
    await within(
      this.#options.drainMs ?? 5_000,
      Promise.all([...this.#sending.values()].map(({ settled }) => settled)),
    )
    try {
      await untraced(() =>
        this.#exchange((tx, now) => setDue(tx, [...this.#sending.keys()], now.toISOString())),
      )
    } catch (error) {
      // Their leases end by themselves; what was sent will be sent again.
      this.#options.log.warn({ err: error }, 'the outbox could not be left in order')
    }
  }
}

/** One conditional UPDATE: of two relays that see the same row, one gets it. */
async function claim(tx: Tx, rooms: { kind: Row['kind']; room: number }[], now: Date): Promise<Row[]> {
  const claimed: Row[] = []
  for (const { kind, room } of rooms) {
    if (room <= 0) continue
    const due = tx
      .selectFrom('outbox')
      .select('id')
      .where('kind', '=', kind)
      .where('due_at', '<=', now.toISOString())
      .orderBy('id')
      .limit(room)
    const rows = await tx
      .updateTable('outbox')
      .set({ due_at: later(now, LEASE_MS) })
      .where('id', 'in', due)
      .where('due_at', '<=', now.toISOString())
      .returningAll()
      .execute()
    claimed.push(...rows)
  }
  return claimed.sort((a, b) => a.id - b.id)
}

async function postpone(tx: Tx, { row, attempts, delayMs }: Failure, now: Date): Promise<void> {
  await tx
    .updateTable('outbox')
    .set({ due_at: later(now, delayMs), attempts })
    .where('id', '=', row.id)
    .execute()
}

async function setDue(tx: Tx, ids: number[], due_at: string): Promise<void> {
  if (ids.length > 0) await tx.updateTable('outbox').set({ due_at }).where('id', 'in', ids).execute()
}

const later = (now: Date, ms: number): string => new Date(now.getTime() + ms).toISOString()

const backoff = (attempt: number, firstMs: number, mostMs: number): number =>
  Math.min(mostMs, firstMs * 2 ** (attempt - 1))

/** Until the promise settles, at most `ms`. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([timeout, promise])
  clearTimeout(timer)
}

function instruments(metrics: Metrics) {
  return {
    published: metrics.counter('mnemosyne_outbox_published_total', 'Messages that the bus confirmed.', [
      'kind',
    ]),
    failed: metrics.counter('mnemosyne_outbox_failures_total', 'Attempts to publish that failed.', ['kind']),
    pending: metrics.gauge('mnemosyne_outbox_pending', 'Messages that wait in the outbox.'),
    oldest: metrics.gauge('mnemosyne_outbox_oldest_seconds', 'Age of the oldest message in the outbox.'),
  }
}
