import { setImmediate } from 'node:timers/promises'

/** So long the event loop may be kept, in milliseconds. */
const MOST_MS = 4

/**
 * What is to be awaited between pieces of work on many passages, each of them short: others have their turn whenever
 * the work has kept the event loop for some milliseconds.
 */
export function createPauses(): () => Promise<void> {
  let since = performance.now()
  return async () => {
    if (performance.now() - since < MOST_MS) return
    await setImmediate()
    since = performance.now()
  }
}
