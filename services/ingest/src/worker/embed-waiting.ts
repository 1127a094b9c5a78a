import { announceAll } from '../accept.ts'
import { reopenUnembedded } from '../store/jobs.ts'
import type { RunDeps } from './run-job.ts'

/** Documents that were taken in while there was no model are taken through again, to be given their vectors. */
export async function embedWaiting({
  sql,
  clock,
  log,
  wakeRelay,
}: Pick<RunDeps, 'sql' | 'clock' | 'wakeRelay' | 'log'>): Promise<void> {
  const jobs = await sql.transaction(async (tx) => {
    const ids = await reopenUnembedded(tx)
    await announceAll(tx, ids, clock)
    return ids
  })
  if (jobs.length > 0) log.info({ jobs: jobs.length }, 'embedding what was taken in without a model')
  wakeRelay()
}
