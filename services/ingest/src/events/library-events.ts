import { EVENTS, SUBSCRIPTIONS } from '@mnemosyne/contracts'
import {
  type Bus,
  type BusMessage,
  type Consumer,
  type Logger,
  readEvent,
  untilHandled,
} from '@mnemosyne/platform'
import { type ForgetDeps, forget } from '../forget.ts'
import type { JobRow } from '../store/tables.ts'

export interface LibraryEventDeps extends ForgetDeps {
  bus: Bus
  log: Logger
  stopWhere: (matches: (row: JobRow) => boolean) => void
}

/** When a library or an item is deleted: stops its jobs and removes their rows, and removes its blobs. */
export async function consumeLibraryEvents(deps: LibraryEventDeps): Promise<Consumer> {
  const drop = async (by: 'library_uid' | 'item_uid', uid: string) => {
    deps.stopWhere((row) => row[by] === uid)
    await forget(deps, by, uid)
  }
  const handle = async (message: BusMessage) => {
    if (message.destination === 'library.deleted.v1') {
      const { data } = readEvent(message, EVENTS['library.deleted.v1'])
      await drop('library_uid', data.library_uid)
    } else {
      const { data } = readEvent(message, EVENTS['item.deleted.v1'])
      await drop('item_uid', data.item_uid)
    }
  }
  return deps.bus.subscribe({
    queue: 'ingest.library-events',
    topics: [...SUBSCRIPTIONS['ingest.library-events']],
    handle: untilHandled(handle, deps.log),
  })
}
