import { describe, expect, test } from 'vitest'
import { createTurns, type TurnsOptions } from './turns.ts'

const LONG = 60_000
const options = (more: Partial<TurnsOptions> = {}): TurnsOptions => ({
  atOnce: 2,
  patienceMs: LONG,
  waitingEach: 3,
  waiting: 5,
  ...more,
})

/** Work that ends when it is told to. */
function work() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let begun = false
  const run = () => {
    begun = true
    return promise
  }
  return { run, end: resolve, fail: reject, hasBegun: () => begun }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))
const BUSY = { code: 'TOO_BUSY', retryAfterSeconds: 2 }

describe('turns', () => {
  test('are taken in the order of the line, never more than may run', async () => {
    const turns = createTurns(options())
    const works = Array.from({ length: 4 }, work)
    const results = works.map(({ run }) => turns('a', run))
    await settled()
    expect(works.map(({ hasBegun }) => hasBegun())).toEqual([true, true, false, false])
    works[1]!.end('second')
    await settled()
    expect(works.map(({ hasBegun }) => hasBegun())).toEqual([true, true, true, false])
    works[0]!.fail(new Error('first'))
    await expect(results[0]).rejects.toThrow('first')
    expect(works[3]!.hasBegun()).toBe(true)
    works[2]!.end('third')
    works[3]!.end('fourth')
    expect(await Promise.all(results.slice(1))).toEqual(['second', 'third', 'fourth'])
    expect(await turns('a', async () => 'fifth')).toBe('fifth')
  })

  test('are refused to one who has filled their part of the line, and not to others', async () => {
    const turns = createTurns(options({ atOnce: 1 }))
    const works = Array.from({ length: 5 }, work)
    const results = works.slice(0, 4).map(({ run }) => turns('a', run))
    await expect(turns('a', work().run)).rejects.toMatchObject(BUSY)
    const other = turns('b', works[4]!.run)
    for (const { end } of works) end('done')
    expect(await Promise.all([...results, other])).toHaveLength(5)
  })

  test('are refused to everybody when the line is full', async () => {
    const turns = createTurns(options({ atOnce: 1 }))
    const works = Array.from({ length: 6 }, work)
    const results = works.map(({ run }, index) => turns(`client ${index}`, run))
    await expect(turns('late', work().run)).rejects.toMatchObject(BUSY)
    for (const { end } of works) end('done')
    await Promise.all(results)
  })

  test('are given up after a while, and the line goes on', async () => {
    const turns = createTurns(options({ atOnce: 1, patienceMs: 5 }))
    const first = work()
    const running = turns('a', first.run)
    const late = work()
    await expect(turns('a', late.run)).rejects.toMatchObject(BUSY)
    first.end('done')
    await running
    expect(late.hasBegun()).toBe(false)
    expect(await turns('a', async () => 'next')).toBe('next')
  })
})
