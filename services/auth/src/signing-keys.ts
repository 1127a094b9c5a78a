import { randomBytes } from 'node:crypto'
import type { SigningKey } from '@mnemosyne/contracts'
import { type Actor, DomainError, FieldError } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext, Tx } from './context.ts'

/** Not everything that a header may say: a name of ours. */
export const KID = /^[A-Za-z0-9._-]{1,64}$/

/** A backup without secrets leaves keys that have none: anybody could sign by those. */
const SECRET = /^[0-9a-f]{64}$/

/** All that there ever were, in the order in which they were made. */
export async function listSigningKeys({ sql }: Pick<AuthContext, 'sql'>): Promise<SigningKey[]> {
  const rows = await sql.read
    .selectFrom('signing_key')
    .select(['kid', 'is_current', 'created_at', 'retired_at'])
    .orderBy('created_at')
    .orderBy('kid')
    .execute()
  return rows.map((row) => ({ ...row, is_current: row.is_current === 1 }))
}

/** The key that signs now, or undefined. */
export async function currentKey(tx: Tx): Promise<{ kid: string; secret: string } | undefined> {
  const key = await tx
    .selectFrom('signing_key')
    .select(['kid', 'secret'])
    .where('is_current', '=', 1)
    .where('retired_at', 'is', null)
    .executeTakeFirst()
  return key && SECRET.test(key.secret) ? key : undefined
}

/** The secret of a key that is not retired, or undefined. */
export async function liveSecret(db: AuthContext['sql']['read'], kid: string): Promise<string | undefined> {
  const key = await db
    .selectFrom('signing_key')
    .select('secret')
    .where('kid', '=', kid)
    .where('retired_at', 'is', null)
    .executeTakeFirst()
  return key && SECRET.test(key.secret) ? key.secret : undefined
}

/**
 * Retires a key for good: what it signed is worthless from the next request on. When it was the one that signs,
 * nothing is minted until another is seeded. Idempotent. Throws DomainError SIGNING_KEY_NOT_FOUND.
 */
export async function retireSigningKey(context: AuthContext, by: Actor, kid: string): Promise<SigningKey> {
  if (!KID.test(kid)) throw keyNotFound()
  const key = await context.sql.transaction(async (tx) => {
    const retired = await tx
      .updateTable('signing_key')
      .set({ retired_at: context.clock().toISOString(), is_current: 0 })
      .where('kid', '=', kid)
      .where('retired_at', 'is', null)
      .executeTakeFirst()
    if (retired.numUpdatedRows > 0n) {
      await audit(tx, context, by, { action: 'signing_key.retired', target: kid })
    }
    return tx
      .selectFrom('signing_key')
      .select(['kid', 'created_at', 'retired_at'])
      .where('kid', '=', kid)
      .executeTakeFirst()
  })
  if (!key) throw keyNotFound()
  return { ...key, is_current: false }
}

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
          .onConflict((conflict) => conflict.column('kid').doNothing())
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

const keyNotFound = () => new DomainError('SIGNING_KEY_NOT_FOUND', 'Signing key not found.')
