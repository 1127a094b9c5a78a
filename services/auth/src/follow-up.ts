import type { Delegations } from '@mnemosyne/contracts'
import type { AuthContext } from './context.ts'
import { finishRenames } from './rename-user.ts'
import { settleFormerNames } from './usernames.ts'

/** How often it is looked whether something was left undone. */
const LOOK_EVERY_MS = 15_000

/**
 * Finishes what a request could not: renames that the library service has not followed yet, and what came into being
 * under a name in the moment in which it was given up. Auth cannot call that service by itself: it does so when a
 * request brings a delegation along, and off the path of that request.
 */
export interface FollowUp {
  /** A request came with delegations; returns at once. */
  note(delegations: Delegations): void
  /** Waits for what is being done. */
  stop(): Promise<void>
}

export function createFollowUp(context: AuthContext): FollowUp {
  let lookedAt = Number.NEGATIVE_INFINITY
  let running: Promise<void> | undefined
  let stopped = false
  return {
    note(delegations) {
      const now = context.clock().getTime()
      if (stopped || running || !delegations.library || now - lookedAt < LOOK_EVERY_MS) return
      lookedAt = now
      running = finishUnfinished(context, delegations)
        .catch((err: unknown) => context.log.warn({ err }, 'what was left undone is tried again later'))
        .finally(() => {
          running = undefined
        })
    },
    async stop() {
      stopped = true
      await running
    },
  }
}

/** Throws DomainError when something has to be tried again. */
export async function finishUnfinished(context: AuthContext, delegations: Delegations): Promise<void> {
  await finishRenames(context, delegations)
  await settleFormerNames(context, delegations)
}
