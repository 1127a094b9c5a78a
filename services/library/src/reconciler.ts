import type { Logger } from '@mnemosyne/platform'
import type { Stores } from './context.ts'
import { reconcile } from './projection.ts'

export interface Reconciler {
  /** Something was cut short: look again in a while. */
  soon(): void
  /** Why the last run did not come to its end, for a person. */
  fault(): string | undefined
  stop(): Promise<void>
}

/** Reconciles once before it returns, then when asked to and, after a failure, until it succeeds. */
export async function startReconciler(stores: Stores, log: Logger, delayMs = 10_000): Promise<Reconciler> {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let fault: string | undefined

  async function run(): Promise<void> {
    try {
      await reconcile(stores, log)
      fault = undefined
    } catch (err) {
      fault = 'SQL and the graph could not be brought into line; it is tried again.'
      log.warn({ err }, fault)
      soon()
    }
  }
  function soon(): void {
    if (stopped || timer) return
    timer = setTimeout(() => {
      timer = undefined
      running = running.then(run)
    }, delayMs)
  }
  let running = run()
  await running

  return {
    soon,
    fault: () => fault,
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
