import type { AuthContext, Tx } from './context.ts'

/** A token as far as its list of libraries goes. */
export interface TokenList {
  id: string
  user_id: string
  /** JSON */
  allowed_libraries: string
}

/**
 * Takes a library out of every token, or of those of one user, so that a later membership does not bring it back
 * there; what says `*` goes on saying so. Returns how many tokens named it. Ask for it in a serializable
 * transaction: a list is read and written back, and another change to it in between must not be lost.
 */
export async function dropFromTokens(
  tx: Tx,
  context: Pick<AuthContext, 'clock'>,
  { libraryUid, userId }: { libraryUid: string; userId?: string },
): Promise<number> {
  let naming = tx
    .selectFrom('user_token')
    .select(['id', 'user_id', 'allowed_libraries'])
    .where('allowed_libraries', 'like', `%"${libraryUid}"%`)
  if (userId !== undefined) naming = naming.where('user_id', '=', userId)
  const tokens = await naming.execute()
  for (const token of tokens) {
    const left = (JSON.parse(token.allowed_libraries) as string[]).filter((uid) => uid !== libraryUid)
    await setLibraries(tx, context, token, left)
  }
  return tokens.length
}

/** Writes a token's list; false when it is as it was. */
export async function setLibraries(
  tx: Tx,
  { clock }: Pick<AuthContext, 'clock'>,
  { id, allowed_libraries: before }: TokenList,
  libraries: readonly string[],
): Promise<boolean> {
  const allowed_libraries = JSON.stringify(libraries)
  if (allowed_libraries === before) return false
  await tx
    .updateTable('user_token')
    .set({ allowed_libraries, updated_at: clock().toISOString() })
    .where('id', '=', id)
    .execute()
  return true
}
