import { setTimeout as wait } from 'node:timers/promises'
import {
  CallError,
  type Client,
  hasStaffLevel,
  type IngestRequest,
  ingestAdminContract,
  ingestContract,
  type Job,
  type libraryInternalContract,
  listAnswer,
  type Principal,
} from '@mnemosyne/contracts'
import { actorOf, type BlobSource, type RequestContext, type Sql } from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import { type AcceptDeps, acceptSubmission } from '../accept.ts'
import { type ControlDeps, cancelJob, retryJob } from '../control.ts'
import {
  JobNotFoundError,
  NotStaffError,
  SourceNotConfiguredError,
  TargetNotFoundError,
  UnavailableError,
} from '../errors.ts'
import { findJob, listJobs, toJob } from '../store/jobs.ts'
import type { IngestTables, JobRow } from '../store/tables.ts'

export type Sources = Partial<Record<IngestRequest['source'], BlobSource>>

export type RouterDeps = AcceptDeps &
  ControlDeps & {
    sources: Sources
    library: Client<typeof libraryInternalContract>
  }

/** How often a watched job is looked at. */
const WATCH_MS = 250

export function ingestRouter(deps: RouterDeps) {
  const os = implement({ ...ingestContract, admin: ingestAdminContract }).$context<RequestContext>()
  return os.router({
    ingest: os.ingest.handler(async ({ input, context }) => {
      const target = await resolveTarget(deps.library, input, context)
      if (!deps.sources[input.source]) throw new SourceNotConfiguredError(input.source)
      const { workspace_id: _w, ...body } = input
      const { created, job } = await acceptSubmission(deps, actorOf(context), { ...body, ...target })
      return created ? { status: 202 as const, body: job } : { status: 200 as const, body: job }
    }),
    jobs: {
      list: os.jobs.list.handler(async ({ input, context }) => {
        const { writable_libraries: writable } = context.principal
        const libraries = input.library_uid ? writable.filter((uid) => uid === input.library_uid) : writable
        const { jobs, total } = await listJobs(deps.sql, { ...input, libraries })
        return listAnswer(jobs.map(toJob), total)
      }),
      get: os.jobs.get.handler(async ({ input, context }) =>
        toJob(await visibleJob(deps.sql, input.job_id, context.principal)),
      ),
      retry: os.jobs.retry.handler(async ({ input, context }) => {
        await visibleJob(deps.sql, input.job_id, context.principal)
        return toJob(await retryJob(deps, actorOf(context), input.job_id))
      }),
      cancel: os.jobs.cancel.handler(async ({ input, context }) => {
        await visibleJob(deps.sql, input.job_id, context.principal)
        return toJob(await cancelJob(deps, actorOf(context), input.job_id))
      }),
      events: os.jobs.events.handler(async ({ input, context, signal }) => {
        const row = await visibleJob(deps.sql, input.job_id, context.principal)
        return watch(deps.sql, row, signal ?? context.signal)
      }),
    },
    admin: {
      jobs: os.admin.jobs.handler(async ({ input, context }) => {
        const { user, surface } = context.principal
        if (surface !== 'rest' || !hasStaffLevel(user, 'view')) throw new NotStaffError()
        const libraries = input.library_uid ? [input.library_uid] : ('all' as const)
        const { jobs, total } = await listJobs(deps.sql, { ...input, libraries })
        return listAnswer(jobs.map(toJob), total)
      }),
    },
  })
}

/** The job's row; one in a library into which the caller may not ingest looks like none. */
async function visibleJob(sql: Sql<IngestTables>, jobId: string, principal: Principal): Promise<JobRow> {
  const row = await findJob(sql.read, jobId)
  if (!row || !principal.writable_libraries.includes(row.library_uid)) throw new JobNotFoundError()
  return row
}

/** Asks the library service, on the caller's behalf, where the submission goes. */
export async function resolveTarget(
  library: Client<typeof libraryInternalContract>,
  where: { workspace_id?: string; library_uid?: string; collection_uid?: string },
  { delegations }: RequestContext,
): Promise<{ library_uid: string; collection_uid: string | null }> {
  const { workspace_id, library_uid, collection_uid } = where
  try {
    return await library.ingestTarget(
      { workspace_id, library_uid, collection_uid },
      { context: { delegations } },
    )
  } catch (error) {
    if (!(error instanceof CallError)) throw error
    if (error.status === 404) throw new TargetNotFoundError(error.message)
    if (error.status >= 500) throw new UnavailableError('library', { cause: error })
    throw error
  }
}

/** The job each time that it changed, and at last as it ended. Ends early when the job is deleted. */
async function* watch(sql: Sql<IngestTables>, first: JobRow, signal: AbortSignal): AsyncGenerator<Job> {
  let shown = ''
  for (let row: JobRow | undefined = first; row; row = await findJob(sql.read, first.job_id)) {
    const job = toJob(row)
    const now = JSON.stringify(job)
    if (now !== shown) yield job
    shown = now
    if (job.status === 'completed' || job.status === 'failed') return
    await wait(WATCH_MS, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return
  }
}
