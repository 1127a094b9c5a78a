import { type GoldenQuery, type GoldenRunDetail, listAnswer } from '@mnemosyne/contracts'
import { actorOf, announceAudit, FieldError, type RequestContext } from '@mnemosyne/platform'
import { assertMayCurate, assertService, assertVisible, callerOf } from '../access.ts'
import type { LibraryContext } from '../context.ts'
import { NotFoundError } from '../errors.ts'
import { type GoldenResults, goldenRunAnswer, replayGoldenQueries } from '../golden/replay.ts'
import {
  allGoldenQueries,
  deleteGoldenQuery,
  findGoldenQuery,
  goldenQueryId,
  insertGoldenQuery,
} from '../store/golden-queries.ts'
import { claimGoldenSchedule, lastGoldenRun, listGoldenRuns } from '../store/golden-runs.ts'
import { liveLibrary } from '../store/libraries.ts'
import type { GoldenQueryRow, GoldenRunRow, LibraryRow } from '../store/tables.ts'
import type { LibraryImplementer } from './implementer.ts'

const HOUR_MS = 3_600_000

export function goldenQueryRoutes(os: LibraryImplementer, deps: LibraryContext) {
  const { sql } = deps

  const found = async (uid: string): Promise<LibraryRow> => {
    const library = await liveLibrary(sql.read, uid)
    if (!library) throw new NotFoundError('Library')
    return library
  }

  return {
    list: os.goldenQueries.list.handler(async ({ input: { uid, limit, offset }, context }) => {
      assertVisible(context.principal, await found(uid))
      const [queries, run] = await Promise.all([
        allGoldenQueries(sql.read, uid),
        lastGoldenRun(sql.read, uid),
      ])
      const results = resultsOf(run)
      const page = queries.slice(offset, offset + limit)
      return listAnswer(
        page.map((query) => goldenQueryAnswer(query, results)),
        queries.length,
      )
    }),

    add: os.goldenQueries.add.handler(async ({ input: { uid, ...wanted }, context }) => {
      assertMayCurate(context.principal, await found(uid), 'change')
      return addGoldenQuery(deps, context, uid, wanted)
    }),

    delete: os.goldenQueries.delete.handler(async ({ input: { uid: library_uid, id }, context }) => {
      assertMayCurate(context.principal, await found(library_uid), 'change')
      await sql.transaction(async (tx) => {
        if (!(await deleteGoldenQuery(tx, { library_uid, id }))) throw new NotFoundError('Golden query')
        await announceAudit(tx, 'library', deps, actorOf(context), {
          action: 'golden_query.deleted',
          target: id,
          detail: { library_uid },
        })
      })
      deps.relay.wake()
    }),

    run: os.goldenQueries.run.handler(async ({ input: { uid: library_uid }, context }) => {
      assertMayCurate(context.principal, await found(library_uid), 'change')
      const { run, queries } = await replayGoldenQueries(deps, context, { library_uid, trigger: 'asked' })
      return goldenRunDetail(run, queries)
    }),

    runs: os.goldenQueries.runs.handler(async ({ input: { uid: library_uid, ...page }, context }) => {
      assertVisible(context.principal, await found(library_uid))
      const { runs, total } = await listGoldenRuns(sql.read, { library_uid, ...page })
      return listAnswer(runs.map(goldenRunAnswer), total)
    }),
  }
}

/** What the gateway asks, which keeps the schedule. */
export function goldenScheduleRoutes(os: LibraryImplementer, deps: LibraryContext) {
  const { sql, clock } = deps
  return {
    claim: os.goldenSchedule.claim.handler(async ({ input: { every_hours }, context }) => {
      assertService(context.principal)
      const now = clock()
      const since = new Date(now.getTime() - every_hours * HOUR_MS)
      const library_uid = await sql.transaction((tx) => claimGoldenSchedule(tx, { since, now }))
      return library_uid === undefined ? null : { library_uid }
    }),

    replay: os.goldenSchedule.replay.handler(async ({ input: { library_uid }, context }) => {
      assertService(context.principal)
      const library = await liveLibrary(sql.read, library_uid)
      if (!library || !context.principal.resolved_libraries.includes(library_uid))
        throw new NotFoundError('Library')
      const { run } = await replayGoldenQueries(deps, context, { library_uid, trigger: 'schedule' })
      return goldenRunAnswer(run)
    }),
  }
}

/** What is wanted has to be in the library. */
async function addGoldenQuery(
  deps: LibraryContext,
  request: RequestContext,
  library_uid: string,
  { query, ...wanted }: { query: string; chunk_uid?: string; item_uid?: string },
): Promise<{ status: 200 | 201; body: GoldenQuery }> {
  const { sql, clock, relay } = deps
  const named = { library_uid, query, ...(await wantedIn(deps, library_uid, wanted)) }
  const { id: created_by } = callerOf(request.principal)
  const row = { id: goldenQueryId(named), ...named, created_by, created_at: clock().toISOString() }
  const stored = await sql.transaction(
    async (tx) => {
      if (!(await liveLibrary(tx, library_uid))) throw new NotFoundError('Library')
      const known = await findGoldenQuery(tx, row)
      if (known) return { status: 200 as const, row: known }
      await insertGoldenQuery(tx, row)
      await announceAudit(tx, 'library', deps, actorOf(request), {
        action: 'golden_query.added',
        target: row.id,
        detail: { library_uid, item_uid: row.item_uid },
      })
      return { status: 201 as const, row }
    },
    // Against as many at the same moment, of which each would see room.
    { isolation: 'serializable' },
  )
  relay.wake()
  const results = resultsOf(stored.status === 200 ? await lastGoldenRun(sql.read, library_uid) : undefined)
  return { status: stored.status, body: goldenQueryAnswer(stored.row, results) }
}

async function wantedIn(
  { graph }: LibraryContext,
  library_uid: string,
  { chunk_uid, item_uid }: { chunk_uid?: string; item_uid?: string },
): Promise<Pick<GoldenQueryRow, 'chunk_uid' | 'item_uid'>> {
  const scope = { libraries: [library_uid] }
  if (chunk_uid !== undefined) {
    const found = await graph.getChunk(scope, chunk_uid)
    if (!found) throw new FieldError('chunk_uid', 'There is no such chunk in this library.')
    return { chunk_uid, item_uid: found.chunk.item_uid }
  }
  if (item_uid === undefined || !(await graph.getItem(scope, item_uid)))
    throw new FieldError('item_uid', 'There is no such item in this library.')
  return { chunk_uid: null, item_uid }
}

const resultsOf = (run: GoldenRunRow | undefined): GoldenResults => (run ? JSON.parse(run.results) : {})

function goldenQueryAnswer(query: GoldenQueryRow, results: GoldenResults): GoldenQuery {
  return { ...query, last_result: results[query.id] ?? null }
}

function goldenRunDetail(run: GoldenRunRow, queries: GoldenQueryRow[]): GoldenRunDetail {
  const results = resultsOf(run)
  return {
    ...goldenRunAnswer(run),
    results: queries.flatMap(({ id, query }) =>
      results[id] ? [{ golden_query_id: id, query, ...results[id] }] : [],
    ),
  }
}
