import type { AuthContext, Tx } from './context.ts'

/** When something was last used is known to a minute. */
const PRECISION_MS = 60_000
/** Uses are gathered for this long and written together. */
const GATHER_MS = 2_000

export interface LastUsed {
  /** Notes a use; returns at once. */
  note(used: { id: string; lastUsedAt: string | null }): void
  /** Writes what has been gathered and gathers no more. */
  stop(): Promise<void>
}

/** What is used, each in its own table. */
export type Uses = Readonly<Record<'token' | 'session', LastUsed>>

/** Whether a use is worth being written down, after one at `lastUsedAt`. */
export function isNews(lastUsedAt: string | null, now: Date): boolean {
  return lastUsedAt === null || now.getTime() - Date.parse(lastUsedAt) >= PRECISION_MS
}

/**
 * Writes when credentials of a kind were last used, off the path of the requests that use them: at most once a minute
 * each. `write` keeps one use, in ISO 8601.
 */
export function createLastUsed(
  { sql, clock, log }: Pick<AuthContext, 'sql' | 'clock' | 'log'>,
  write: (tx: Tx, id: string, at: string) => Promise<void>,
): LastUsed {
  const gathered = new Map<string, string>()
  let timer: NodeJS.Timeout | undefined
  let writing = Promise.resolve()
  let stopped = false

  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    const uses = [...gathered]
    gathered.clear()
    writing = writing
      .then(() => writeAll(uses))
      .catch((error) => log.warn({ err: error }, 'last use not written'))
    return writing
  }
  const writeAll = async (uses: [string, string][]) => {
    if (uses.length === 0) return
    await sql.transaction(async (tx) => {
      for (const [id, at] of uses) await write(tx, id, at)
    })
  }

  return {
    note({ id, lastUsedAt }) {
      const now = clock()
      if (stopped || !isNews(gathered.get(id) ?? lastUsedAt, now)) return
      gathered.set(id, now.toISOString())
      timer ??= setTimeout(flush, GATHER_MS).unref()
    },
    async stop() {
      stopped = true
      await flush()
    },
  }
}
