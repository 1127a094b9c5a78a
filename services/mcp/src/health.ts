import type { Check, Clock, Readiness } from '@mnemosyne/platform'
import { z } from 'zod'

const Probe = z.looseObject({
  status: z.enum(['ok', 'degraded', 'error']),
  duration_ms: z.number(),
  detail: z.string().optional().describe('What is wrong and what to do, when the status is not ok.'),
})

/** The keys are those of the stores of a distributed installation, in every mode. */
export const Health = z.looseObject({
  status: z.enum(['ok', 'degraded', 'error']),
  checks: z.looseObject({
    neo4j: Probe.describe('The graph store.'),
    s3: Probe.describe('The store of documents.'),
    embedding: Probe.extend({ model: z.string().nullable() }).describe('The embedding model.'),
  }),
})
export type Health = z.infer<typeof Health>

/**
 * The readiness of services whose checks, taken together, name `graph`, `blobs` and `embedding`. Of two checks of
 * one name the first counts.
 */
export type Dependencies = (() => Promise<Readiness>)[]

/** The public probe must not become a way to keep the stores busy. */
const FRESH_MS = 1_000

/** Health of the stores behind the tools. An answer is shared by all who ask within a second. */
export function healthProbe(dependencies: Dependencies, clock: Clock): () => Promise<Health> {
  let last: { at: number; health: Promise<Health> } | undefined
  return () => {
    const now = clock().getTime()
    if (!last || now - last.at >= FRESH_MS || now < last.at) last = { at: now, health: probe(dependencies) }
    return last.health
  }
}

async function probe(dependencies: Dependencies): Promise<Health> {
  const checks = Object.assign({}, ...(await Promise.all(dependencies.map(timedChecks))).reverse())
  const embedding = checkOf(checks, 'embedding')
  const found = {
    neo4j: checkOf(checks, 'graph'),
    s3: checkOf(checks, 'blobs'),
    embedding: { ...embedding, model: embedding.model ?? null },
  }
  const down = found.neo4j.status === 'error' || found.s3.status === 'error'
  return { status: down ? 'error' : embedding.status === 'ok' ? 'ok' : 'degraded', checks: found }
}

/** A check as some services report it: with its own duration, and the model where there is one. */
type TimedCheck = Pick<Check, 'status' | 'detail'> & { duration_ms: number; model?: string | null }

/** A service's checks; those that tell no duration get that of the whole answer. */
async function timedChecks(readiness: () => Promise<Readiness>): Promise<Record<string, TimedCheck>> {
  const started = performance.now()
  const { checks } = await readiness().catch(() => ({ checks: {} }))
  const duration_ms = Math.round((performance.now() - started) * 100) / 100
  return Object.fromEntries(Object.entries(checks).map(([name, check]) => [name, { duration_ms, ...check }]))
}

function checkOf(checks: Record<string, TimedCheck>, name: string): TimedCheck {
  return (
    checks[name] ?? {
      status: 'error',
      detail: 'The service that watches it does not answer.',
      duration_ms: 0,
    }
  )
}
