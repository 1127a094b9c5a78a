import type { DomainError } from './errors.ts'

export interface TurnsOptions {
  /** How many run at once. */
  atOnce: number
  /** How long one waits for its turn, in milliseconds. */
  patienceMs: number
  /** How many of one `who` may wait. */
  waitingEach: number
  /** How many may wait in all. */
  waiting: number
  /** What is thrown when the line is too long, or too slow. */
  tooBusy: () => DomainError
}

/** Runs work that is dear, a few at once; the rest waits in line for a moment, or is refused. */
export interface Turns {
  /**
   * The outcome of `work`, when its turn has come. The next turn is that of whoever has fewest of them, so that nobody
   * waits behind all that one other has asked for. A caller who leaves gives up the place in line: rejects with the
   * signal's reason then. Throws what `tooBusy` makes.
   */
  take<T>(who: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>
  readonly running: number
  readonly waiting: number
}

interface Place {
  who: string
  go: () => void
}

export function createTurns({ atOnce, patienceMs, waitingEach, waiting, tooBusy }: TurnsOptions): Turns {
  /** Those who have turns, with how many. */
  const having = new Map<string, number>()
  const line = new Set<Place>()
  let running = 0

  const turnsOf = (who: string) => having.get(who) ?? 0
  const begin = (who: string) => {
    running++
    having.set(who, turnsOf(who) + 1)
  }
  const end = (who: string) => {
    running--
    if (turnsOf(who) > 1) having.set(who, turnsOf(who) - 1)
    else having.delete(who)
    const next = nextInLine()
    if (!next) return
    line.delete(next)
    begin(next.who)
    next.go()
  }
  const nextInLine = (): Place | undefined => {
    let next: Place | undefined
    for (const place of line) if (!next || turnsOf(place.who) < turnsOf(next.who)) next = place
    return next
  }

  async function waitForTurn(who: string, signal?: AbortSignal): Promise<void> {
    const ofThem = [...line].filter((one) => one.who === who).length
    if (line.size >= waiting || ofThem >= waitingEach) throw tooBusy()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const place = { who, go: resolve }
    const leave = (why: unknown) => {
      if (line.delete(place)) reject(why)
    }
    const left = () => leave(signal?.reason)
    const timer = setTimeout(() => leave(tooBusy()), patienceMs)
    signal?.addEventListener('abort', left, { once: true })
    line.add(place)
    try {
      await promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', left)
    }
  }

  return {
    async take(who, work, signal) {
      signal?.throwIfAborted()
      if (running < atOnce) begin(who)
      else await waitForTurn(who, signal)
      try {
        return await work()
      } finally {
        end(who)
      }
    },
    get running() {
      return running
    },
    get waiting() {
      return line.size
    },
  }
}
