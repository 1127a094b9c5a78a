import { expect } from 'vitest'
import { type Draw, STEPS } from './steps.ts'
import type { Probe, World } from './world.ts'

/** Every so many steps all credentials are asked, and what they find by search. */
const ALL_EVERY = 25
/** Beside those whose answer a step changes. */
const OTHERS_ASKED = 3
const ASKED_AT_ONCE = 8

/**
 * Takes random steps through the control plane. After each, every credential whose reads it changes, and some others,
 * are asked through REST and MCP, each time at another door: one answer that the model does not give ends it, with
 * the steps that led there. `random` gives numbers from 0 up to 1.
 */
export async function walk(world: World, steps: number, random: () => number): Promise<void> {
  const draw: Draw = (from) => from[Math.floor(random() * from.length)]!
  const bag = STEPS.flatMap((step) => Array<typeof step>(step.weight).fill(step))
  const taken: string[] = []
  let before = new Map(world.probes().map(({ name, expected }) => [name, String(expected)]))
  try {
    for (let n = 1; n <= steps; ) {
      const what = await draw(bag).run(world, draw)
      if (!what) continue
      taken.push(what)
      const probes = world.probes()
      const changed = probes.filter(({ name, expected }) => before.get(name) !== String(expected))
      const others = Array.from({ length: OTHERS_ASKED }, () => draw(probes))
      before = new Map(probes.map(({ name, expected }) => [name, String(expected)]))
      const all = n % ALL_EVERY === 0
      await ask(all ? probes : [...new Set([...changed, ...others])])
      if (all) await askSearch(world, probes)
      n++
    }
  } catch (error) {
    throw new Error(`after ${taken.length} steps, the last of them:\n${taken.slice(-40).join('\n')}`, {
      cause: error,
    })
  }
}

async function ask(probes: readonly Probe[]): Promise<void> {
  await inTurns(probes, async ({ name, expected, ask }) => {
    expect(await ask(), name).toEqual(expected)
  })
}

async function askSearch(world: World, probes: readonly Probe[]): Promise<void> {
  await inTurns(probes, async ({ name, expected, search }) => {
    if (!search) return
    const found = expected === 'refused' ? expected : expected.filter((uid) => world.filled.has(uid))
    expect(await search(), `search by ${name}`).toEqual(found)
  })
}

async function inTurns<T>(list: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const waiting = list.values()
  const worker = async () => {
    for (const one of waiting) await work(one)
  }
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, worker))
}
