import { type Logger, type Metrics, type Reading, type Sql, untraced } from '@mnemosyne/platform'
import { goldenMeasures } from '../store/golden-runs.ts'
import type { LibraryTables } from '../store/tables.ts'

/** More libraries than these, those that have golden queries longest, are in no series. */
const LIBRARIES_MAX = 100
const EVERY_MS = 60_000

export interface GoldenMetrics {
  refresh(): Promise<void>
  stop(): void
}

/**
 * Two gauges, of what the last whole replay of each library measured: the same on every replica, since it is read from
 * the database, once a minute and after a replay here.
 */
export async function startGoldenMetrics({
  sql,
  log,
  metrics,
}: {
  sql: Sql<LibraryTables>
  log: Logger
  metrics: Metrics
}): Promise<GoldenMetrics> {
  let measures: Awaited<ReturnType<typeof goldenMeasures>> = []
  const refresh = async () => {
    try {
      measures = await untraced(() => goldenMeasures(sql.read, LIBRARIES_MAX))
    } catch (err) {
      log.warn({ err }, 'the measures of golden queries are those of before')
    }
  }
  const reading = (of: 'recall_at_10' | 'mrr') => (): Reading =>
    measures.flatMap(({ library_uid, [of]: value }) =>
      value === null ? [] : ([[value, { library_uid }]] as [number, Record<string, string>][]),
    )
  const ends = [
    metrics.reading(
      'mnemosyne_golden_queries_recall',
      'Share of golden queries that found what is wanted among the first ten, at the last replay.',
      ['library_uid'],
      reading('recall_at_10'),
    ),
    metrics.reading(
      'mnemosyne_golden_queries_mrr',
      'Mean of 1/rank of what golden queries want, at the last replay.',
      ['library_uid'],
      reading('mrr'),
    ),
  ]
  await refresh()
  const timer = setInterval(() => void refresh(), EVERY_MS).unref()
  return {
    refresh,
    stop() {
      clearInterval(timer)
      for (const end of ends) end()
    },
  }
}
