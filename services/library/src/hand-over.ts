import { type Actor, announceAudit } from '@mnemosyne/platform'
import type { Transaction } from 'kysely'
import type { LibraryContext } from './context.ts'
import { announce } from './events/announce.ts'
import { projectLibrary, unlessDeleted, unprojected } from './projection.ts'
import { librariesOwnedBy, replaceOwner } from './store/libraries.ts'
import type { LibraryTables } from './store/tables.ts'

export interface HandOver {
  library_uid: string
  /** User names. */
  from: string
  to: string
  /** How often the library has been handed over, with this time. */
  hand_overs: number
}

/** Tells that a library was handed over, in the transaction that does it. */
export async function announceHandOver(
  tx: Transaction<LibraryTables>,
  context: LibraryContext,
  by: Actor,
  handOver: HandOver,
): Promise<void> {
  await announce(tx, context, 'library.handed_over.v1', handOver)
  const { library_uid, from, to } = handOver
  await announceAudit(tx, 'library', context, by, {
    action: 'library.handed_over',
    target: library_uid,
    detail: { from, to },
  })
}

export interface Reassignment {
  from: string
  to: string
  /** `to` is what `from` is called now: nothing changes hands. */
  renamed: boolean
}

/** Every library of `from` is one of `to`, in SQL. Returns the uids of those that changed. Idempotent. */
export async function reassignLibraries(
  context: LibraryContext,
  by: Actor,
  { from, to, renamed }: Reassignment,
): Promise<string[]> {
  if (from === to) return []
  const { sql, clock, relay } = context
  const uids = await sql.transaction(async (tx) => {
    const rows = await replaceOwner(tx, { from, to, handOver: !renamed }, clock().toISOString())
    const live = rows.filter(({ deleted_at }) => deleted_at === null)
    for (const { uid: library_uid, hand_overs } of live) {
      if (!renamed) await announceHandOver(tx, context, by, { library_uid, from, to, hand_overs })
      else {
        await announce(tx, context, 'library.updated.v1', { library_uid })
        const what = { action: 'library.owner_renamed', target: library_uid, detail: { from, to } }
        await announceAudit(tx, 'library', context, by, what)
      }
    }
    return live.map(({ uid }) => uid)
  })
  relay.wake()
  return uids.sort()
}

/** Brings the libraries of one owner into the graph as they are, also those that an earlier call did not get to. */
export async function projectLibrariesOf(context: LibraryContext, owner: string): Promise<void> {
  const stale = await unprojected(context, await librariesOwnedBy(context.sql.read, owner))
  for (const row of stale) await unlessDeleted(projectLibrary(context, row))
}
