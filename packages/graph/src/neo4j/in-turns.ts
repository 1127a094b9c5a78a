import { setImmediate } from 'node:timers/promises'

const TURN_MS = 10

/** Maps a list whose parts take long, and lets others have their turn every 10 ms. */
export async function inTurns<T, R>(list: readonly T[], work: (one: T) => R): Promise<R[]> {
  const results: R[] = []
  let from = performance.now()
  for (const one of list) {
    results.push(work(one))
    if (performance.now() - from < TURN_MS) continue
    await setImmediate()
    from = performance.now()
  }
  return results
}
