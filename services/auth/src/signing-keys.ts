import { randomBytes } from 'node:crypto'
import { DomainError, FieldError } from '@mnemosyne/platform'
import { type Actor, audit } from './audit.ts'
import type { AuthContext } from './context.ts'

const KID = /^[A-Za-z0-9._-]{1,64}$/

/**
 * Makes the signing key `kid`, or finds it, and makes it the one that signs. A known key keeps its secret.
 * With `retireOther` every other key is retired for good. The secret stays in the database.
 * Throws FieldError, or DomainError SIGNING_KEY_RETIRED.
 */
export async function seedSigningKey(
  context: AuthContext,
  by: Actor,
  { kid, retireOther }: { kid: string; retireOther: boolean },
): Promise<{ kid: string; created: boolean; retired: string[] }> {
  if (!KID.test(kid)) throw new FieldError('kid', 'A kid has 1 to 64 letters, digits and . _ - characters.')
  return context.sql.transaction(
    async (tx) => {
      const now = context.clock().toISOString()
      const known = await tx
        .selectFrom('signing_key')
        .select('retired_at')
        .where('kid', '=', kid)
        .executeTakeFirst()
      if (known && known.retired_at !== null) {
        throw new DomainError(
          'SIGNING_KEY_RETIRED',
          `The signing key "${kid}" is retired and stays so. Choose another kid.`,
        )
      }
      await tx.updateTable('signing_key').set({ is_current: 0 }).where('kid', '!=', kid).execute()
      if (known) await tx.updateTable('signing_key').set({ is_current: 1 }).where('kid', '=', kid).execute()
      else {
        const secret = randomBytes(32).toString('hex')
        await tx
          .insertInto('signing_key')
          .values({ kid, secret, is_current: 1, created_at: now, retired_at: null })
          .execute()
      }
      const others = retireOther
        ? await tx
            .updateTable('signing_key')
            .set({ retired_at: now })
            .where('kid', '!=', kid)
            .where('retired_at', 'is', null)
            .returning('kid')
            .execute()
        : []
      const retired = others.map((other) => other.kid).sort()
      const action = known ? 'signing_key.made_current' : 'signing_key.created'
      await audit(tx, context, by, { action, target: kid })
      for (const other of retired)
        await audit(tx, context, by, { action: 'signing_key.retired', target: other })
      return { kid, created: !known, retired }
    },
    { isolation: 'serializable' },
  )
}
