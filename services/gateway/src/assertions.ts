import { type Principal, type ServiceName, servicePrincipal } from '@mnemosyne/contracts'
import { type Clock, encodeDelegations, type Signer } from '@mnemosyne/platform'
import { DELEGATES, type Target } from './routes.ts'

/** Half the lifetime of an assertion, so that a kept one is good for a request that starts now. */
const KEEP_MS = 30_000

export interface Assertions {
  principal: string
  /** Encoded; empty when the target may call nobody. */
  delegations: string
}

/** The principal signed for `target`, and for each service that `target` may call on its behalf. */
export async function assertionsFor(sign: Signer, principal: Principal, target: Target): Promise<Assertions> {
  const audiences: ServiceName[] = [target, ...DELEGATES[target]]
  const [own, ...others] = await Promise.all(audiences.map((audience) => sign(principal, audience)))
  return {
    principal: own!,
    delegations: encodeDelegations(
      Object.fromEntries(DELEGATES[target].map((name, index) => [name, others[index]!])),
    ),
  }
}

/** The gateway's own assertions for calls to `target`, kept for half a minute. */
export function serviceAssertions(sign: Signer, target: Target, clock: Clock): () => Promise<Assertions> {
  let kept: { until: number; assertions: Promise<Assertions> } | undefined
  return () => {
    const now = clock().getTime()
    if (kept && now < kept.until) return kept.assertions
    const assertions = assertionsFor(sign, servicePrincipal('rest'), target)
    const fresh = { until: now + KEEP_MS, assertions }
    kept = fresh
    assertions.catch(() => {
      if (kept === fresh) kept = undefined
    })
    return assertions
  }
}
