import type { ExpressionBuilder, Kysely, Transaction } from 'kysely'
import type { GoldenRunRow, LibraryTables } from './tables.ts'

type Db = Kysely<LibraryTables>
type Tx = Transaction<LibraryTables>

/** How many replays of a library are kept. */
const KEPT = 30
/** So long a replay that is not whole is gone on with, and nobody else is given its library by the schedule. */
const CLAIM_MS = 900_000

const later = (at: Date, ms: number) => new Date(at.getTime() + ms).toISOString()

/** The replay that is to be gone on with. */
export async function unfinishedGoldenRun(
  db: Db,
  library_uid: string,
  now: Date,
): Promise<GoldenRunRow | undefined> {
  const last = await db
    .selectFrom('golden_run')
    .selectAll()
    .where('library_uid', '=', library_uid)
    .orderBy('started_at', 'desc')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  return last?.finished_at === null && last.started_at > later(now, -CLAIM_MS) ? last : undefined
}

export function lastGoldenRun(db: Db, library_uid: string): Promise<GoldenRunRow | undefined> {
  return db
    .selectFrom('golden_run')
    .selectAll()
    .where('library_uid', '=', library_uid)
    .where('finished_at', 'is not', null)
    .orderBy('started_at', 'desc')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
}

/** Newest first, and how many there are in all. */
export async function listGoldenRuns(
  db: Db,
  { library_uid, limit, offset }: { library_uid: string; limit: number; offset: number },
): Promise<{ runs: GoldenRunRow[]; total: number }> {
  const ofLibrary = db.selectFrom('golden_run').where('library_uid', '=', library_uid)
  const [runs, { total }] = await Promise.all([
    ofLibrary.selectAll().orderBy('started_at', 'desc').orderBy('id').limit(limit).offset(offset).execute(),
    ofLibrary.select((select) => select.fn.countAll<number>().as('total')).executeTakeFirstOrThrow(),
  ])
  return { runs, total }
}

/**
 * Writes a replay as `merge` makes it of what is recorded of it by now. Whole, it sets the schedule's clock; else its
 * library stays claimed. Call it in a serializable transaction.
 */
export async function keepGoldenRun(
  tx: Tx,
  begun: GoldenRunRow,
  now: Date,
  merge: (
    before: GoldenRunRow,
  ) => Omit<GoldenRunRow, 'id' | 'library_uid' | 'trigger' | 'started_at' | 'finished_at'>,
): Promise<GoldenRunRow> {
  const { id, library_uid } = begun
  const recorded = await tx.selectFrom('golden_run').selectAll().where('id', '=', id).executeTakeFirst()
  const merged = { ...begun, ...merge(recorded ?? begun) }
  const run = { ...merged, finished_at: merged.remaining === 0 ? now.toISOString() : null }
  const { id: _, ...columns } = run
  await tx
    .insertInto('golden_run')
    .values(run)
    .onConflict((conflict) => conflict.column('id').doUpdateSet(columns))
    .execute()
  await tx
    .updateTable('golden_schedule')
    .set(
      run.finished_at === null
        ? { claimed_until: later(now, CLAIM_MS) }
        : { last_run_at: run.started_at, claimed_until: null },
    )
    .where('library_uid', '=', library_uid)
    .execute()
  await forgetOldRuns(tx, library_uid)
  return run
}

async function forgetOldRuns(tx: Tx, library_uid: string): Promise<void> {
  const kept = tx
    .selectFrom('golden_run')
    .select('id')
    .where('library_uid', '=', library_uid)
    .orderBy('started_at', 'desc')
    .orderBy('id')
    .limit(KEPT)
  await tx
    .deleteFrom('golden_run')
    .where('library_uid', '=', library_uid)
    .where('id', 'not in', kept)
    .execute()
}

/**
 * A live library with golden queries that were last replayed at `since` or before, and that nobody is at. It is the
 * caller's for a quarter of an hour; of several who ask at once one is given it.
 */
export async function claimGoldenSchedule(
  tx: Tx,
  { since, now }: { since: Date; now: Date },
): Promise<string | undefined> {
  const isDue = (eb: ExpressionBuilder<LibraryTables, 'golden_schedule'>) =>
    eb.and([
      eb.or([eb('last_run_at', 'is', null), eb('last_run_at', '<=', since.toISOString())]),
      eb.or([eb('claimed_until', 'is', null), eb('claimed_until', '<=', now.toISOString())]),
    ])
  const due = await tx
    .selectFrom('golden_schedule')
    .select('library_uid')
    .where(isDue)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('golden_query')
          .innerJoin('library', 'library.uid', 'golden_query.library_uid')
          .select('golden_query.id')
          .whereRef('golden_query.library_uid', '=', 'golden_schedule.library_uid')
          .where('library.deleted_at', 'is', null),
      ),
    )
    .orderBy('created_at')
    .orderBy('library_uid')
    .limit(1)
    .executeTakeFirst()
  if (!due) return undefined
  const claimed = await tx
    .updateTable('golden_schedule')
    .set({ claimed_until: later(now, CLAIM_MS) })
    .where('library_uid', '=', due.library_uid)
    .where(isDue)
    .returning('library_uid')
    .executeTakeFirst()
  return claimed?.library_uid
}

/** What the last whole replay of each live library measured, of those first that have golden queries longest. */
export function goldenMeasures(
  db: Db,
  limit: number,
): Promise<Pick<GoldenRunRow, 'library_uid' | 'recall_at_10' | 'mrr'>[]> {
  return db
    .selectFrom('golden_schedule')
    .innerJoin('library', 'library.uid', 'golden_schedule.library_uid')
    .innerJoin('golden_run', (join) =>
      join
        .onRef('golden_run.library_uid', '=', 'golden_schedule.library_uid')
        .onRef('golden_run.started_at', '=', 'golden_schedule.last_run_at'),
    )
    .select(['golden_run.library_uid', 'golden_run.recall_at_10', 'golden_run.mrr'])
    .where('library.deleted_at', 'is', null)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('golden_query')
          .select('golden_query.id')
          .whereRef('golden_query.library_uid', '=', 'golden_schedule.library_uid'),
      ),
    )
    .orderBy('golden_schedule.created_at')
    .orderBy('golden_schedule.library_uid')
    .limit(limit)
    .execute()
}
