import type { AuthContext } from './context.ts'

/** A token's `last_used_at` is good to a minute. */
const PRECISION_MS = 60_000
/** Uses are gathered for this long and written together. */
const GATHER_MS = 2_000

export interface LastUsed {
  /** Notes a use; returns at once. */
  note(token: { id: string; lastUsedAt: string | null }): void
  /** Writes what has been gathered and gathers no more. */
  stop(): Promise<void>
}

/** Writes when tokens were last used, off the path of the requests that use them. */
export function createLastUsed({ sql, clock, log }: Pick<AuthContext, 'sql' | 'clock' | 'log'>): LastUsed {
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
      .then(() => write(uses))
      .catch((error) => log.warn({ err: error }, 'last use not written'))
    return writing
  }
  const write = async (uses: [string, string][]) => {
    if (uses.length === 0) return
    await sql.transaction(async (tx) => {
      for (const [id, at] of uses) {
        await tx.updateTable('user_token').set({ last_used_at: at }).where('id', '=', id).execute()
      }
    })
  }

  return {
    note({ id, lastUsedAt }) {
      const now = clock()
      const known = gathered.get(id) ?? lastUsedAt
      if (stopped || (known !== null && now.getTime() - Date.parse(known) < PRECISION_MS)) return
      gathered.set(id, now.toISOString())
      timer ??= setTimeout(flush, GATHER_MS).unref()
    },
    async stop() {
      stopped = true
      await flush()
    },
  }
}
