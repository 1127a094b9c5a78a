import type { ServiceName } from '@mnemosyne/contracts'
import type { Check, Readiness } from '@mnemosyne/platform'
import { z } from 'zod'
import { within } from './authenticate.ts'
import type { Upstreams } from './forward.ts'
import type { Target } from './routes.ts'

const PATIENCE_MS = 2_000

const WORST_FIRST = ['down', 'starting', 'degraded', 'ready'] as const

const PeerReadiness = z.object({
  status: z.enum(WORST_FIRST),
  checks: z.record(
    z.string(),
    z.object({ status: z.enum(['ok', 'degraded', 'error']), detail: z.string().optional() }),
  ),
})

/** The readiness of `peers` together: every check under `<service>.<check>`, and the worst status. */
export async function readinessOf(upstreams: Upstreams, peers: readonly ServiceName[]): Promise<Readiness> {
  const asked = peers.filter((peer): peer is Target => peer !== 'gateway')
  const answers = await Promise.all(asked.map(async (peer) => ({ peer, answer: await ask(upstreams, peer) })))
  const checks: Record<string, Check> = {}
  for (const { peer, answer } of answers) {
    for (const [name, check] of Object.entries(answer.checks)) {
      checks[name === '' ? peer : `${peer}.${name}`] = check
    }
  }
  const status = WORST_FIRST.find((worst) => answers.some(({ answer }) => answer.status === worst))
  return { status: status ?? 'ready', checks }
}

async function ask(upstreams: Upstreams, peer: Target): Promise<Readiness> {
  try {
    return await within(PATIENCE_MS, async (signal) => {
      const answer = await upstreams[peer](new Request(`http://${peer}/ready/`, { signal }))
      const readiness = PeerReadiness.parse(await answer.json())
      if (Object.keys(readiness.checks).length > 0) return readiness
      return { ...readiness, checks: { '': checkOf(readiness.status) } }
    })
  } catch {
    return { status: 'down', checks: { '': { status: 'error', detail: 'does not answer' } } }
  }
}

function checkOf(status: Readiness['status']): Check {
  if (status === 'ready') return { status: 'ok' }
  return { status: status === 'degraded' ? 'degraded' : 'error', detail: status }
}
