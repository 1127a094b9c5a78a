import type { ChunkingConfig, Delegations, LibraryType } from '@mnemosyne/contracts'
import { type Actor, announceAudit, FieldError } from '@mnemosyne/platform'
import type { LibraryContext } from './context.ts'
import { OwnerNotRecordedError } from './errors.ts'
import { announce } from './events/announce.ts'
import { libraryTypes } from './library-types.ts'
import { ensureLibraryProjected } from './projection.ts'
import { insertLibrary } from './store/libraries.ts'
import type { LibraryRow } from './store/tables.ts'

export interface NewLibrary {
  name: string
  library_type: LibraryType
  description: string
  workspace_id: string | null
  /** Null: global. */
  owner_username: string | null
  /** These stand in for the library type's own. */
  chunking_config?: ChunkingConfig
  embedding_instruction?: string
  reranker_instruction?: string
  llm_context_prompt?: string
}

/**
 * Writes the library's row and announces it; undefined, and nothing written, when its workspace id is taken.
 * It is not whole before `establishLibrary`.
 */
export async function storeLibrary(
  context: LibraryContext,
  by: Actor,
  library: NewLibrary,
): Promise<LibraryRow | undefined> {
  const row = libraryRow(library, context.ids(), context.clock().toISOString())
  const stored = await context.sql.transaction(async (tx) => {
    if (!(await insertLibrary(tx, row))) return false
    const { uid, owner_username, workspace_id, library_type } = row
    await announce(tx, context, 'library.created.v1', { library_uid: uid, owner_username })
    await announceAudit(tx, 'library', context, by, {
      action: 'library.created',
      target: uid,
      detail: { owner_username, workspace_id, library_type },
    })
    return true
  })
  if (!stored) return undefined
  context.relay.wake()
  return row
}

/**
 * Makes sure that the owner is a member and that the graph holds the library, whether or not an earlier request
 * came so far. Throws `OwnerNotRecordedError`, graph errors, and `NotFoundError` when it is deleted meanwhile.
 */
export async function establishLibrary(
  context: LibraryContext,
  library: LibraryRow,
  delegations: Delegations,
): Promise<void> {
  await recordOwner(context, library, delegations)
  await ensureLibraryProjected(context, library)
}

async function recordOwner(
  { auth, log }: LibraryContext,
  { uid, owner_username, hand_overs }: LibraryRow,
  delegations: Delegations,
): Promise<void> {
  if (owner_username === null) return
  try {
    const owner = { library_uid: uid, username: owner_username, hand_overs }
    await auth.putOwner(owner, { context: { delegations } })
  } catch (cause) {
    log.error({ err: cause, library_uid: uid }, "auth did not record a library's owner")
    throw new OwnerNotRecordedError({ cause })
  }
}

function libraryRow(library: NewLibrary, uid: string, now: string): LibraryRow {
  const type = libraryTypes[library.library_type]
  const chunking = library.chunking_config ?? type.chunking_config
  assertSizes(chunking)
  return {
    uid,
    name: library.name,
    library_type: library.library_type,
    description: library.description,
    workspace_id: library.workspace_id,
    owner_username: library.owner_username,
    hand_overs: 0,
    chunking_config: JSON.stringify(chunking),
    embedding_instruction: library.embedding_instruction ?? type.embedding_instruction,
    reranker_instruction: library.reranker_instruction ?? type.reranker_instruction,
    llm_context_prompt: library.llm_context_prompt ?? type.llm_context_prompt,
    created_at: now,
    updated_at: now,
    deleted_at: null,
  }
}

function assertSizes({ min_tokens, target_tokens, max_tokens, overlap_tokens }: ChunkingConfig): void {
  if (!(min_tokens <= target_tokens && target_tokens <= max_tokens)) {
    throw new FieldError(
      'chunking_config',
      'min_tokens, target_tokens and max_tokens must rise in this order.',
    )
  }
  if (overlap_tokens >= target_tokens) {
    throw new FieldError('chunking_config', 'overlap_tokens must be smaller than target_tokens.')
  }
}
