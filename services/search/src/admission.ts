import type { Principal } from '@mnemosyne/contracts'
import { createTurns, type Metrics } from '@mnemosyne/platform'
import type { Caller } from './begin-search.ts'
import { searchCancelled, searchOverloaded } from './errors.ts'

/** So long one waits for a turn. Who waits longer is better off asking another replica, or later. */
const PATIENCE_MS = 1_000

/**
 * Runs a search when its turn has come. Throws DomainError SEARCH_OVERLOADED, at once when the line is long and after a
 * second otherwise; SEARCH_CANCELLED when the caller leaves meanwhile.
 */
export type Admit = <T>(caller: Caller, work: () => Promise<T>) => Promise<T>

/**
 * `atOnce` searches are in hand at a time. Twice as many may wait, of whom one caller takes half the places at most; the
 * next turn is that of the caller who has fewest.
 */
export function createAdmission(atOnce: number, metrics: Metrics): Admit {
  const refused = metrics.counter(
    'mnemosyne_search_refused_total',
    'Searches refused because too many were asked for at once.',
  )
  const turns = createTurns({
    ...{ atOnce, patienceMs: PATIENCE_MS, waiting: 2 * atOnce, waitingEach: atOnce },
    tooBusy() {
      refused()
      return searchOverloaded()
    },
  })
  metrics.reading('mnemosyne_search_in_hand', 'Searches that are being answered.', [], () => [
    [turns.running],
  ])
  metrics.reading('mnemosyne_search_waiting', 'Searches that wait for their turn.', [], () => [
    [turns.waiting],
  ])
  return async ({ principal, signal }, work) => {
    let begun = false
    const begin = () => {
      begun = true
      return work()
    }
    try {
      return await turns.take(whose(principal), begin, signal)
    } catch (error) {
      if (!begun && signal.aborted) throw searchCancelled(error)
      throw error
    }
  }
}

function whose({ kind, team_id, user }: Principal): string {
  return team_id ?? user?.id ?? kind
}
