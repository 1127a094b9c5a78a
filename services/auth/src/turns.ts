import { DomainError } from '@mnemosyne/platform'

export interface TurnsOptions {
  /** How many run at once. */
  atOnce: number
  /** How long one waits for its turn, in milliseconds. */
  patienceMs: number
  /** How many of one `who` may wait. */
  waitingEach: number
  /** How many may wait in all. */
  waiting: number
}

/**
 * Runs work that is dear, a few at once; the rest waits in line for a moment. Throws DomainError TOO_BUSY when the
 * line is too long, or too slow.
 */
export type Turns = <T>(who: string, work: () => Promise<T>) => Promise<T>

export function createTurns({ atOnce, patienceMs, waitingEach, waiting }: TurnsOptions): Turns {
  let running = 0
  const line = new Set<{ who: string; go: () => void }>()

  const waitForTurn = (who: string) => {
    const ofThem = [...line].filter((one) => one.who === who).length
    if (line.size >= waiting || ofThem >= waitingEach) throw tooBusy()
    return new Promise<void>((resolve, reject) => {
      const place = { who, go: resolve }
      const timer = setTimeout(() => {
        line.delete(place)
        reject(tooBusy())
      }, patienceMs)
      place.go = () => {
        clearTimeout(timer)
        resolve()
      }
      line.add(place)
    })
  }

  return async (who, work) => {
    if (running < atOnce) running += 1
    else await waitForTurn(who)
    try {
      return await work()
    } finally {
      // The turn goes over to the next in line, or is free.
      const [next] = line
      if (next) {
        line.delete(next)
        next.go()
      } else running -= 1
    }
  }
}

function tooBusy(): DomainError {
  return new DomainError('TOO_BUSY', 'Too many people are signing in at this moment. Try again shortly.', {
    retryAfterSeconds: 2,
  })
}
