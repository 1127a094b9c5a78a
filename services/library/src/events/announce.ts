import type { EventData, EventType } from '@mnemosyne/contracts'
import { cloudEvent, writeOutbox } from '@mnemosyne/platform'
import type { Transaction } from 'kysely'
import type { LibraryContext } from '../context.ts'
import type { LibraryTables } from '../store/tables.ts'

/** Writes an event into the transaction of the change it tells of. Wake the relay after the commit. */
export async function announce<T extends EventType>(
  tx: Transaction<LibraryTables>,
  { clock, ids }: Pick<LibraryContext, 'clock' | 'ids'>,
  type: T,
  data: EventData<T>,
): Promise<void> {
  const id = ids()
  const body = cloudEvent({ type, source: '/library', id, time: clock(), data })
  await writeOutbox(tx, { kind: 'event', destination: type, id, body }, clock)
}
