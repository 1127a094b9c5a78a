import { Job, SUBSCRIPTIONS } from '@mnemosyne/contracts'
import {
  type Handle,
  type Logger,
  readEvent,
  type Sql,
  type Subscription,
  untilHandled,
} from '@mnemosyne/platform'
import { recordJob } from '../store/items.ts'
import type { LibraryTables } from '../store/tables.ts'

/** What the library service hears of ingest: the record of items follows the jobs. */
export function ingestJobs(sql: Sql<LibraryTables>, log: Logger): Subscription {
  const handle: Handle = async (message) => {
    const { data: job } = readEvent(message, Job)
    await recordJob(sql, job)
  }
  return {
    queue: 'library.ingest-events',
    topics: [...SUBSCRIPTIONS['library.ingest-events']],
    handle: untilHandled(handle, log),
  }
}
