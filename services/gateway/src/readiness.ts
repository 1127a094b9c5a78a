import type { ServiceName } from '@mnemosyne/contracts'
import { type Check, peerReadiness, type Readiness } from '@mnemosyne/platform'
import type { Upstreams } from './forward.ts'
import type { Target } from './routes.ts'

const WORST_FIRST = ['down', 'starting', 'degraded', 'ready'] as const

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
    const readiness = await peerReadiness(upstreams[peer])
    if (Object.keys(readiness.checks).length > 0) return readiness
    return { ...readiness, checks: { '': checkOf(readiness.status) } }
  } catch {
    return { status: 'down', checks: { '': { status: 'error', detail: 'does not answer' } } }
  }
}

function checkOf(status: Readiness['status']): Check {
  if (status === 'ready') return { status: 'ok' }
  return { status: status === 'degraded' ? 'degraded' : 'error', detail: status }
}
