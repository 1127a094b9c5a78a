import { CallError } from '@mnemosyne/contracts'
import { actorOf, announceAudit, FieldError, type RequestContext } from '@mnemosyne/platform'
import type { LibraryContext } from './context.ts'
import { HandedOverMeanwhileError, NotAllowedError, NotFoundError, OwnerNotRecordedError } from './errors.ts'
import { announce } from './events/announce.ts'
import { announceHandOver, type HandOver } from './hand-over.ts'
import { projectLibrary } from './projection.ts'
import { changeLibrary, liveLibrary } from './store/libraries.ts'
import type { LibraryRow } from './store/tables.ts'

/** What is left out stays as it is. */
export interface LibraryChange {
  name?: string
  description?: string
  /** Who is the principal owner from now on. */
  owner_username?: string
}

/**
 * Renames, describes and hands over a library, of which the caller is known to be an owner. The new owner is a member
 * before the library is theirs, and the former one is a manager afterwards: should this process die in between, auth
 * hears of it by the event. Returns the row as it is now. Throws FieldError, NotAllowedError, NotFoundError,
 * HandedOverMeanwhileError, OwnerNotRecordedError, and graph errors when the change is made but not shown yet.
 */
export async function updateLibrary(
  context: LibraryContext,
  request: RequestContext,
  library: LibraryRow,
  change: LibraryChange,
): Promise<LibraryRow> {
  const handOver = handOverOf(library, change.owner_username)
  if (handOver) await nameOwner(context, request, handOver)
  const changed = await storeChange(context, request, library, change, handOver)
  if (handOver) await recordHandOver(context, request, handOver)
  await projectLibrary(context, changed)
  return changed
}

/** Undefined when the library is theirs already. */
function handOverOf(
  { uid, owner_username: from, hand_overs }: LibraryRow,
  to?: string,
): HandOver | undefined {
  if (to === undefined || to === from) return undefined
  if (from === null)
    throw new FieldError('owner_username', "A global library is everybody's: it can't be handed over.")
  return { library_uid: uid, from, to, hand_overs: hand_overs + 1 }
}

async function nameOwner(
  { auth }: LibraryContext,
  { delegations }: RequestContext,
  { library_uid, to: username, hand_overs }: HandOver,
): Promise<void> {
  try {
    await auth.putOwner({ library_uid, username, hand_overs }, { context: { delegations } })
  } catch (cause) {
    if (!(cause instanceof CallError)) throw new OwnerNotRecordedError({ cause })
    if (cause.status === 403) throw new NotAllowedError('Only its owners may hand this library over.')
    if (cause.status === 404 || cause.status === 409)
      throw new FieldError('owner_username', 'There is no active user of this name.', { cause })
    throw new OwnerNotRecordedError({ cause })
  }
}

/** The change, what it is announced by and what the audit log says of it, as one. */
async function storeChange(
  context: LibraryContext,
  request: RequestContext,
  seen: LibraryRow,
  { name, description }: LibraryChange,
  handOver: HandOver | undefined,
): Promise<LibraryRow> {
  const { sql, clock, relay } = context
  const changed = await sql.transaction(async (tx) => {
    const before = await liveLibrary(tx, seen.uid)
    if (!before) throw new NotFoundError('Library')
    const texts = differing(before, { name, description })
    const fields = Object.keys(texts)
    if (fields.length === 0 && !handOver) return before
    const owner = handOver && { owner_username: handOver.to, hand_overs: handOver.hand_overs }
    // A name is changed whoever owns the library by now; it is handed over by whose it was when they asked.
    const row = await changeLibrary(
      tx,
      handOver ? seen : before,
      { ...texts, ...owner },
      clock().toISOString(),
    )
    if (!row) {
      throw (await liveLibrary(tx, seen.uid)) ? new HandedOverMeanwhileError() : new NotFoundError('Library')
    }
    const by = actorOf(request)
    if (fields.length > 0) {
      await announce(tx, context, 'library.updated.v1', { library_uid: row.uid })
      const detail = { fields: fields.join(',') }
      await announceAudit(tx, 'library', context, by, { action: 'library.updated', target: row.uid, detail })
    }
    if (handOver) await announceHandOver(tx, context, by, handOver)
    return row
  })
  relay.wake()
  return changed
}

function differing(before: LibraryRow, texts: Pick<LibraryChange, 'name' | 'description'>) {
  const changes: typeof texts = {}
  for (const field of ['name', 'description'] as const) {
    const text = texts[field]
    if (text !== undefined && text !== before[field]) changes[field] = text
  }
  return changes
}

/** The library is handed over, whether or not auth can be reached: the event does the same, later. */
async function recordHandOver(
  { auth, log }: LibraryContext,
  { delegations }: RequestContext,
  handOver: HandOver,
): Promise<void> {
  try {
    await auth.recordHandOver(handOver, { context: { delegations } })
  } catch (err) {
    const { library_uid } = handOver
    log.warn({ err, library_uid }, "a library's former owner becomes its manager later")
  }
}
