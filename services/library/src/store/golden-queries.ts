import { GOLDEN_QUERIES_MAX } from '@mnemosyne/contracts'
import type { Kysely, Transaction } from 'kysely'
import { derivedUid } from '../derived-uid.ts'
import { TooManyGoldenQueriesError } from '../errors.ts'
import type { GoldenQueryRow, LibraryTables } from './tables.ts'

type Db = Kysely<LibraryTables>
type Tx = Transaction<LibraryTables>

/** The same query that wants the same is the same one. */
export function goldenQueryId({
  library_uid,
  query,
  chunk_uid,
  item_uid,
}: Pick<GoldenQueryRow, 'library_uid' | 'query' | 'chunk_uid' | 'item_uid'>): string {
  return derivedUid([library_uid, chunk_uid ?? '', item_uid, query].join('/'))
}

export function findGoldenQuery(
  db: Db,
  of: Pick<GoldenQueryRow, 'library_uid' | 'id'>,
): Promise<GoldenQueryRow | undefined> {
  return db
    .selectFrom('golden_query')
    .selectAll()
    .where('id', '=', of.id)
    .where('library_uid', '=', of.library_uid)
    .executeTakeFirst()
}

/** In the order in which they were added: at most 1,000. */
export function allGoldenQueries(db: Db, library_uid: string): Promise<GoldenQueryRow[]> {
  return db
    .selectFrom('golden_query')
    .selectAll()
    .where('library_uid', '=', library_uid)
    .orderBy('created_at')
    .orderBy('id')
    .execute()
}

/**
 * Call it in a serializable transaction, for a golden query that is not there. Their replays are due from the first one
 * on. Throws TooManyGoldenQueriesError.
 */
export async function insertGoldenQuery(tx: Tx, row: GoldenQueryRow): Promise<void> {
  const { library_uid, created_at } = row
  const { count } = await tx
    .selectFrom('golden_query')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('library_uid', '=', library_uid)
    .executeTakeFirstOrThrow()
  if (count >= GOLDEN_QUERIES_MAX) throw new TooManyGoldenQueriesError()
  await tx.insertInto('golden_query').values(row).execute()
  await tx
    .insertInto('golden_schedule')
    .values({ library_uid, created_at, last_run_at: null, claimed_until: null })
    .onConflict((conflict) => conflict.column('library_uid').doNothing())
    .execute()
}

/** False when there is none. */
export async function deleteGoldenQuery(
  tx: Tx,
  of: Pick<GoldenQueryRow, 'library_uid' | 'id'>,
): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('golden_query')
    .where('id', '=', of.id)
    .where('library_uid', '=', of.library_uid)
    .executeTakeFirst()
  return numDeletedRows > 0n
}
