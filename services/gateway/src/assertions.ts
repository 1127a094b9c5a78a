import { DELEGATES, encodeDelegations, type Principal, type ServiceName } from '@mnemosyne/contracts'
import type { Clock, Signer } from '@mnemosyne/platform'
import type { Target } from './routes.ts'

/** Half the lifetime of an assertion, so that a kept one is good for a request that starts now. */
const KEEP_MS = 30_000
const MOST_KEPT = 500

export interface Assertions {
  principal: string
  /** Encoded; empty when the target may call nobody. */
  delegations: string
}

/** The principal signed for a target, and for each service that the target may call on its behalf. */
export type Assert = (principal: Principal, target: Target) => Promise<Assertions>

/**
 * Signs, and keeps what was signed for half a minute: to sign, and to verify what was not seen before, costs more
 * than the rest of the way. The key is all of the principal, which auth resolves anew for each request.
 */
export function createAssert(sign: Signer, clock: Clock): Assert {
  const kept = new Map<string, { until: number; assertions: Promise<Assertions> }>()
  return (principal, target) => {
    const key = JSON.stringify([target, principal])
    const now = clock().getTime()
    const known = kept.get(key)
    if (known && now < known.until) return known.assertions
    const fresh = { until: now + KEEP_MS, assertions: signed(sign, principal, target) }
    kept.delete(key)
    kept.set(key, fresh)
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value!)
    fresh.assertions.catch(() => {
      if (kept.get(key) === fresh) kept.delete(key)
    })
    return fresh.assertions
  }
}

async function signed(sign: Signer, principal: Principal, target: Target): Promise<Assertions> {
  const audiences: ServiceName[] = [target, ...DELEGATES[target]]
  const [own, ...others] = await Promise.all(audiences.map((audience) => sign(principal, audience)))
  return {
    principal: own!,
    delegations: encodeDelegations(
      Object.fromEntries(DELEGATES[target].map((name, index) => [name, others[index]!])),
    ),
  }
}
