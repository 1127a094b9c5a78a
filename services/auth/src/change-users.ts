import { sql as raw } from 'kysely'
import type { AuthContext, Tx } from './context.ts'

/** Among the advisory locks of this database. */
const LOCK = 811_750_301

/**
 * A transaction on names, rights and the being there of users. On all replicas they come one after another, so what one
 * has looked at (whether a name is free, whether there is another superuser) holds until it ends, without any having
 * to be tried again.
 */
export function changeUsers<T>({ sql }: Pick<AuthContext, 'sql'>, work: (tx: Tx) => Promise<T>): Promise<T> {
  return sql.transaction(async (tx) => {
    // SQLite lets in one at a time.
    if (sql.dialect === 'postgres') await raw`select pg_advisory_xact_lock(${LOCK})`.execute(tx)
    return work(tx)
  })
}
