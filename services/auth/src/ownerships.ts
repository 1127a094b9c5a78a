import type { Actor } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext, Tx } from './context.ts'

/** Makes a user an owner of these libraries where they are none. Idempotent. Returns how many were missing. */
export async function putOwnerships(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids'>,
  by: Actor,
  { userId, libraries }: { userId: string; libraries: readonly string[] },
): Promise<number> {
  const created_at = context.clock().toISOString()
  let added = 0
  for (const library_uid of libraries) {
    const { numInsertedOrUpdatedRows = 0n } = await tx
      .insertInto('library_membership')
      .values({ user_id: userId, library_uid, role: 'owner', created_at })
      .onConflict((conflict) => conflict.columns(['user_id', 'library_uid', 'role']).doNothing())
      .executeTakeFirst()
    if (numInsertedOrUpdatedRows === 0n) continue
    added++
    const detail = { user_id: userId, role: 'owner' }
    await audit(tx, context, by, { action: 'membership.added', target: library_uid, detail })
  }
  return added
}
