import { setInterval } from 'node:timers'
import { DomainError } from '@mnemosyne/platform'
import { changeUsers } from './change-users.ts'
import type { AuthContext, Tx } from './context.ts'

type ClaimContext = Pick<AuthContext, 'sql' | 'clock' | 'ids' | 'log'>

/** How long a claim holds without a sign of life. */
const LEASE_MS = 15_000
const RENEW_MS = 5_000

/**
 * Runs `work`, which moves or deletes what stands under a user name in the library service, as the only one who does,
 * and while nobody takes the name: what the name's next bearer owns must not be taken for the former's. A claim of a
 * process that died ends with its lease. Throws DomainError USERNAME_BUSY when another holds the name.
 */
export async function withUsername<T>(
  context: ClaimContext,
  username: string,
  work: () => Promise<T>,
): Promise<T> {
  const claim_id = context.ids()
  await claim(context, username, claim_id)
  const renewal = setInterval(() => {
    renew(context, claim_id).catch((err: unknown) => context.log.warn({ err }, 'a claim was not renewed'))
  }, RENEW_MS)
  try {
    return await work()
  } finally {
    clearInterval(renewal)
    await context.sql
      .transaction((tx) => tx.deleteFrom('username_claim').where('claim_id', '=', claim_id).execute())
      .catch((err: unknown) => context.log.warn({ err }, 'a claim ends with its lease'))
  }
}

/** Ask in `changeUsers`. Throws DomainError USERNAME_BUSY while somebody works on what stands under the name. */
export async function assertUnclaimed(tx: Tx, { clock }: Pick<AuthContext, 'clock'>, username: string) {
  const held = await tx
    .selectFrom('username_claim')
    .select('claim_id')
    .where('username', '=', username)
    .where('until', '>', clock().toISOString())
    .executeTakeFirst()
  if (held) throw busy(username)
}

async function claim(context: ClaimContext, username: string, claim_id: string): Promise<void> {
  const now = context.clock().toISOString()
  const claimed = await changeUsers(context, (tx) =>
    tx
      .insertInto('username_claim')
      .values({ username, claim_id, until: lease(context) })
      .onConflict((conflict) =>
        conflict
          .column('username')
          .doUpdateSet({ claim_id, until: lease(context) })
          .where('username_claim.until', '<=', now),
      )
      .returning('claim_id')
      .executeTakeFirst(),
  )
  if (!claimed) throw busy(username)
}

async function renew(context: ClaimContext, claim_id: string): Promise<void> {
  await context.sql.transaction((tx) =>
    tx
      .updateTable('username_claim')
      .set({ until: lease(context) })
      .where('claim_id', '=', claim_id)
      .execute(),
  )
}

const lease = ({ clock }: ClaimContext) => new Date(clock().getTime() + LEASE_MS).toISOString()

function busy(username: string): DomainError {
  return new DomainError(
    'USERNAME_BUSY',
    `What stands under the name "${username}" is being moved or deleted just now. Try again shortly.`,
  )
}
