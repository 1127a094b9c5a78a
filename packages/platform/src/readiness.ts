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
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS)
  try {
    await Promise.race([ask(), late])
    return { status: 'ok' }
  } catch {
    return { status: 'error', detail }
  } finally {
    clearTimeout(timer)
  }
}

/** A needed dependency that is out takes the service down; one that it can do without degrades it. */
export function readinessOf(checks: Record<string, Check>): Readiness {
  const states = Object.values(checks).map(({ status }) => status)
  if (states.includes('error')) return { status: 'down', checks }
  return { status: states.includes('degraded') ? 'degraded' : 'ready', checks }
}
