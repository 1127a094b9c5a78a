import type { AuthContext } from './context.ts'
import { purgeFailures } from './login-failures.ts'
import { purgeSessions } from './sessions.ts'

const EVERY_MS = 600_000

/** Removes sessions that have expired and failed logins that count no more: at once, and from time to time. */
export function startPurge({ sql, clock, log }: Pick<AuthContext, 'sql' | 'clock' | 'log'>): {
  stop(): Promise<void>
} {
  let purging = Promise.resolve()
  const purge = () => {
    purging = purging
      .then(() =>
        sql.transaction(async (tx) => {
          await purgeSessions(tx, clock())
          await purgeFailures(tx, clock())
        }),
      )
      .catch((error) => log.warn({ err: error }, 'expired sessions are not removed'))
  }
  purge()
  const timer = setInterval(purge, EVERY_MS).unref()
  return {
    stop() {
      clearInterval(timer)
      return purging
    },
  }
}
