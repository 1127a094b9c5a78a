import type { GoldenResult, GoldenRun } from '@mnemosyne/contracts'
import { actorOf, announceAudit, type RequestContext } from '@mnemosyne/platform'
import type { LibraryContext } from '../context.ts'
import { NoGoldenQueriesError, NotFoundError } from '../errors.ts'
import { allGoldenQueries } from '../store/golden-queries.ts'
import { keepGoldenRun, unfinishedGoldenRun } from '../store/golden-runs.ts'
import { liveLibrary } from '../store/libraries.ts'
import type { GoldenQueryRow, GoldenRunRow } from '../store/tables.ts'
import { type Asked, askGoldenQueries } from './ask.ts'
import { measure } from './measure.ts'

/** The caller's delegation is good for half a minute at least (`services/gateway/src/assertions.ts`). */
const REPLAY_MS = 20_000

export type GoldenResults = Record<string, GoldenResult>

/**
 * Replays a library's golden queries, or goes on with the replay that was not whole a moment ago, for 20 seconds. What
 * was found is kept with its audit record, also when search fails half way; then it throws SearchUnavailableError.
 * Throws NoGoldenQueriesError. The caller is known to be allowed.
 */
export async function replayGoldenQueries(
  context: LibraryContext,
  request: RequestContext,
  { library_uid, trigger }: Pick<GoldenRunRow, 'library_uid' | 'trigger'>,
): Promise<{ run: GoldenRunRow; queries: GoldenQueryRow[] }> {
  const { sql, clock, ids, replayMs = REPLAY_MS } = context
  const queries = await allGoldenQueries(sql.read, library_uid)
  if (queries.length === 0) throw new NoGoldenQueriesError()
  const begun = (await unfinishedGoldenRun(sql.read, library_uid, clock())) ?? {
    ...{ id: ids(), library_uid, trigger, started_at: clock().toISOString() },
    ...{ finished_at: null, results: '{}', remaining: 0, gone: 0, recall_at_10: null, mrr: null },
    ...{ exact: 1, degraded: '{}' },
  }
  const known = JSON.parse(begun.results) as GoldenResults
  const open = queries.filter(({ id }) => !Object.hasOwn(known, id))
  const asked = await askGoldenQueries(context, request, open, replayMs)
  if (asked.results.size === 0 && asked.fault !== undefined) throw asked.fault
  const run = await keep(context, request, begun, asked)
  if (asked.fault !== undefined) throw asked.fault
  return { run, queries }
}

/** With what somebody else may have found of the same replay meanwhile. */
async function keep(
  context: LibraryContext,
  request: RequestContext,
  begun: GoldenRunRow,
  asked: Asked,
): Promise<GoldenRunRow> {
  const { sql, clock, relay, goldenMetrics } = context
  const run = await sql.transaction(
    async (tx) => {
      if (!(await liveLibrary(tx, begun.library_uid))) throw new NotFoundError('Library')
      const queries = await allGoldenQueries(tx, begun.library_uid)
      const merged = await keepGoldenRun(tx, begun, clock(), (before) => mergedRun(before, asked, queries))
      await announceAudit(tx, 'library', context, actorOf(request), {
        action: 'golden_queries.replayed',
        target: merged.library_uid,
        detail: {
          ...{ run: merged.id, trigger: merged.trigger, asked: asked.results.size },
          ...{ remaining: merged.remaining, recall_at_10: merged.recall_at_10 },
        },
      })
      return merged
    },
    { isolation: 'serializable' },
  )
  relay.wake()
  if (run.finished_at !== null) await goldenMetrics.refresh()
  return run
}

/** Of golden queries that were deleted meanwhile nothing stays, of those that were added nothing is known. */
function mergedRun(before: GoldenRunRow, asked: Asked, queries: GoldenQueryRow[]) {
  const all: GoldenResults = {
    ...(JSON.parse(before.results) as GoldenResults),
    ...Object.fromEntries(asked.results),
  }
  const results = Object.fromEntries(queries.flatMap(({ id }) => (all[id] ? [[id, all[id]]] : [])))
  const degraded = JSON.parse(before.degraded) as Record<string, number>
  for (const [part, count] of asked.degraded) degraded[part] = (degraded[part] ?? 0) + count
  return {
    results: JSON.stringify(results),
    remaining: queries.length - Object.keys(results).length,
    ...measure(Object.values(results)),
    exact: before.exact && asked.exact ? 1 : 0,
    degraded: JSON.stringify(degraded),
  }
}

export function goldenRunAnswer({ results, exact, degraded, ...run }: GoldenRunRow): GoldenRun {
  const parts = JSON.parse(degraded) as Record<string, number>
  return {
    ...run,
    queries: Object.keys(JSON.parse(results) as GoldenResults).length,
    exact: exact === 1,
    degraded: Object.entries(parts).map(([part, queries]) => ({ part, queries })),
  }
}
