import type { FetchHandler } from '@mnemosyne/contracts'
import { z } from 'zod'
import { within } from './within.ts'

/** One dependency of a service. `degraded`: the service does its work, with less. */
export interface Check {
  status: 'ok' | 'degraded' | 'error'
  detail?: string
}

export interface Readiness {
  status: 'ready' | 'degraded' | 'starting' | 'down'
  checks: Record<string, Check>
}

/** Milliseconds that a dependency is given to answer. */
const PATIENCE_MS = 2_000

/** Asks a dependency; `detail` is what the readiness says, to whoever may see it, when it fails or is too slow. */
export async function probe(ask: () => Promise<void>, detail: string): Promise<Check> {
  try {
    await within(PATIENCE_MS, ask)
    return { status: 'ok' }
  } catch {
    return { status: 'error', detail }
  }
}

/** A dependency without which the service does less: the bus, while messages wait in the outbox. */
export function bearable(check: Check): Check {
  return check.status === 'error' ? { ...check, status: 'degraded' } : check
}

/** A needed dependency that is out takes the service down; one that it can do without degrades it. */
export function readinessOf(checks: Record<string, Check>): Readiness {
  const states = Object.values(checks).map(({ status }) => status)
  if (states.includes('error')) return { status: 'down', checks }
  return { status: states.includes('degraded') ? 'degraded' : 'ready', checks }
}

const PeerReadiness = z.object({
  status: z.enum(['down', 'starting', 'degraded', 'ready']),
  checks: z.record(
    z.string(),
    z.looseObject({ status: z.enum(['ok', 'degraded', 'error']), detail: z.string().optional() }),
  ),
})

/** What another service says at `/ready/`. Rejects when it does not answer within two seconds, or not in shape. */
export async function peerReadiness(fetch: FetchHandler): Promise<Readiness> {
  return within(PATIENCE_MS, async (signal) => {
    const answer = await fetch(new Request('http://peer/ready/', { signal }))
    return PeerReadiness.parse(await answer.json())
  })
}
