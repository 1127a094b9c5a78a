import { describe, expect, test } from 'vitest'
import { DomainError } from './errors.ts'
import { createTurns, type TurnsOptions } from './turns.ts'

const LONG = 60_000
const options = (more: Partial<TurnsOptions> = {}): TurnsOptions => ({
  atOnce: 2,
  patienceMs: LONG,
  waitingEach: 3,
  waiting: 5,
  tooBusy: () => new DomainError('TOO_BUSY', 'Too many at once.', { retryAfterSeconds: 2 }),
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
    const results = works.map(({ run }) => turns.take('a', run))
    await settled()
    expect(works.map(({ hasBegun }) => hasBegun())).toEqual([true, true, false, false])
    expect([turns.running, turns.waiting]).toEqual([2, 2])
    works[1]!.end('second')
    await settled()
    expect(works.map(({ hasBegun }) => hasBegun())).toEqual([true, true, true, false])
    works[0]!.fail(new Error('first'))
    await expect(results[0]).rejects.toThrow('first')
    expect(works[3]!.hasBegun()).toBe(true)
    works[2]!.end('third')
    works[3]!.end('fourth')
    expect(await Promise.all(results.slice(1))).toEqual(['second', 'third', 'fourth'])
    expect([turns.running, turns.waiting]).toEqual([0, 0])
    expect(await turns.take('a', async () => 'fifth')).toBe('fifth')
  })

  test('are first of those who have fewest: one who asks for much does not hold up the others', async () => {
    const turns = createTurns(options())
    const works = Array.from({ length: 6 }, work)
    const whose = ['a', 'a', 'a', 'a', 'b', 'c']
    const results = works.map(({ run }, n) => turns.take(whose[n]!, run))
    await settled()
    const begun = () => works.flatMap(({ hasBegun }, n) => (hasBegun() ? [n] : []))
    expect(begun()).toEqual([0, 1])
    works[0]!.end('done')
    await settled()
    expect(begun()).toEqual([0, 1, 4])
    works[4]!.end('done')
    await settled()
    expect(begun()).toEqual([0, 1, 4, 5])
    works[5]!.end('done')
    await settled()
    expect(begun()).toEqual([0, 1, 2, 4, 5])
    for (const { end } of works) end('done')
    await Promise.all(results)
  })

  test('are refused to one who has filled their part of the line, and not to others', async () => {
    const turns = createTurns(options({ atOnce: 1 }))
    const works = Array.from({ length: 5 }, work)
    const results = works.slice(0, 4).map(({ run }) => turns.take('a', run))
    await expect(turns.take('a', work().run)).rejects.toMatchObject(BUSY)
    const other = turns.take('b', works[4]!.run)
    for (const { end } of works) end('done')
    expect(await Promise.all([...results, other])).toHaveLength(5)
  })

  test('are refused to everybody when the line is full', async () => {
    const turns = createTurns(options({ atOnce: 1 }))
    const works = Array.from({ length: 6 }, work)
    const results = works.map(({ run }, index) => turns.take(`client ${index}`, run))
    await expect(turns.take('late', work().run)).rejects.toMatchObject(BUSY)
    for (const { end } of works) end('done')
    await Promise.all(results)
  })

  test('are given up after a while, and the line goes on', async () => {
    const turns = createTurns(options({ atOnce: 1, patienceMs: 5 }))
    const first = work()
    const running = turns.take('a', first.run)
    const late = work()
    await expect(turns.take('a', late.run)).rejects.toMatchObject(BUSY)
    first.end('done')
    await running
    expect(late.hasBegun()).toBe(false)
    expect(await turns.take('a', async () => 'next')).toBe('next')
  })

  test('are given up by those who leave: their place goes to the next', async () => {
    const turns = createTurns(options({ atOnce: 1, waiting: 1 }))
    const [first, left, next] = [work(), work(), work()]
    const running = turns.take('a', first.run)
    const caller = new AbortController()
    const leaving = turns.take('b', left.run, caller.signal)
    await settled()
    await expect(turns.take('c', next.run)).rejects.toMatchObject(BUSY)
    caller.abort(new Error('left'))
    await expect(leaving).rejects.toThrow('left')
    await expect(turns.take('d', left.run, caller.signal)).rejects.toThrow('left')
    const waiting = turns.take('c', next.run)
    first.end('done')
    next.end('done')
    await Promise.all([running, waiting])
    expect(left.hasBegun()).toBe(false)
    expect([turns.running, turns.waiting]).toEqual([0, 0])
  })
})
