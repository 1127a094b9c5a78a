import { randomBytes } from 'node:crypto'
import { vi } from 'vitest'
import { askOnce, patiently, sendTo } from './asking.ts'
import type { Caller } from './callers.ts'
import { askAll, type Difference, type Outcome } from './cells.ts'
import { expectationOf, type Question, questions } from './matrix.ts'
import type { World } from './world.ts'

/** How much later the spans of an answer may come, in milliseconds. */
const SPANS_WITHIN = 60_000

/** What is written down on the side, of some requests and not of others. */
const ON_THE_SIDE = /^(CLIENT|INTERNAL) (UPDATE (user_token|session)|sql\.transaction)$/

/** How often a difference has to be seen: a connection that breaks off is asked for again, once. */
const TIMES = 3

type CostCell = Question & { caller: string; by: Caller; reference: string }

/**
 * What somebody may not know of costs as much as what does not exist: the same questions to each store and service, so
 * that no clock tells them apart.
 */
export async function askCosts(world: World, callers: Caller[]): Promise<Outcome> {
  const cells = callers.flatMap((by) =>
    questions().flatMap((question): CostCell[] => {
      const { expected, reference } = expectationOf(question, by)
      const { relation } = question
      if (!expected.alike || relation === reference || relation === 'malformed') return []
      return [{ ...question, by, reference, caller: by.name }]
    }),
  )
  let left = cells
  let differences: Difference[] = []
  for (let time = 0; time < TIMES && left.length > 0; time++) {
    const found = await differencesAmong(world, left)
    left = found.map(({ cell }) => cell)
    differences = found.map(({ difference }) => difference)
  }
  return { cells: cells.length, differences }
}

async function differencesAmong(world: World, cells: CostCell[]) {
  const traces = new Map<CostCell, { own: string; reference: string }>()
  const { differences } = await askAll(cells, async (cell) => {
    const own = await askIn(world, cell, cell.relation)
    traces.set(cell, { own, reference: await askIn(world, cell, cell.reference) })
    return undefined
  })
  if (differences.length > 0) throw new Error(JSON.stringify(differences))
  const costs = await costsOf(
    world,
    [...traces.values()].flatMap(({ own, reference }) => [own, reference]),
  )
  return [...traces].flatMap(([cell, { own, reference }]) => {
    const { asked, relation, caller } = cell
    const [got, expected] = [costs.get(own)!, costs.get(reference)!]
    const [more, less] = [without(got, expected), without(expected, got)]
    if (more.length + less.length === 0) return []
    const difference = {
      asked,
      relation,
      caller,
      expected: 'as for missing',
      got: `more: ${more}; less: ${less}`,
    }
    return [{ cell, difference }]
  })
}

/** Asks in a trace of its own, and returns its id. */
async function askIn(
  world: World,
  { operation, way, by: { person, session, headers } }: CostCell,
  relation: string,
): Promise<string> {
  let trace = ''
  const { asked } = way.standing({ world, person, session, relation })
  await patiently(() => {
    trace = randomBytes(16).toString('hex')
    const traceparent = `00-${trace}-${randomBytes(8).toString('hex')}-01`
    return askOnce(sendTo(world.system.url), operation, asked, { ...headers, traceparent })
  })
  return trace
}

/** What was done in each trace, in words, once all of it has arrived. */
async function costsOf({ traces }: World, wanted: string[]): Promise<Map<string, string[]>> {
  const done = await vi.waitFor(
    () => {
      const spans = Map.groupBy(traces.spans, ({ traceId }) => traceId)
      const unfinished = wanted.filter((trace) => {
        const own = spans.get(trace) ?? []
        const ids = new Set(own.map(({ spanId }) => spanId))
        // The first has a parent that is ours; until it is here, and the parents of all others, there is more to come.
        return own.filter(({ parentSpanId }) => !ids.has(parentSpanId ?? '')).length !== 1
      })
      if (unfinished.length > 0) throw new Error(`${unfinished.length} traces are not whole`)
      return spans
    },
    { timeout: SPANS_WITHIN, interval: 500 },
  )
  const namesIn = (trace: string) => done.get(trace)!.map(({ kind, name }) => `${kind} ${name}`)
  return new Map(wanted.map((trace) => [trace, namesIn(trace).filter((name) => !ON_THE_SIDE.test(name))]))
}

/** What is left of `names` when each of `others` has taken one away. */
function without(names: readonly string[], others: readonly string[]): string[] {
  const left = [...names]
  for (const name of others) {
    const at = left.indexOf(name)
    if (at >= 0) left.splice(at, 1)
  }
  return left
}
