import { expect, it } from 'vitest'
import { defaultRetry, retryDelay } from './port.ts'
import { defaultDelayStepsMs, delayStep, topicMatches } from './topology.ts'

it.each([
  ['a.b', 'a.b', true],
  ['a.b', 'a.b.c', false],
  ['a.*', 'a.b', true],
  ['a.*', 'a', false],
  ['a.*', 'a.b.c', false],
  ['*.b', 'a.b', true],
  ['#', 'a', true],
  ['a.#', 'a', true],
  ['a.#', 'a.b.c', true],
  ['#.c', 'a.b.c', true],
  ['#.c', 'c', true],
  ['a.#.c', 'a.c', true],
  ['a.#.c', 'a.b.b.c', true],
  ['a.#.c', 'a.b.d', false],
  ['#.#', 'a', true],
  ['*.#', 'a', true],
])('topic %s and routing key %s: %s', (pattern, key, matches) => {
  expect(topicMatches(pattern, key)).toBe(matches)
})

it.each([
  [[50, 10, 100], 5, 10],
  [[50, 10, 100], 10, 10],
  [[50, 10, 100], 11, 50],
  [[50, 10, 100], 500, 100],
])('of the delays %j, %i ms takes %i', (steps, delay, step) => {
  expect(delayStep(steps, delay)).toBe(step)
})

it('has a delay of its own for every default retry', () => {
  const delays = [1, 2, 3, 4].map((failures) => retryDelay(defaultRetry, failures))
  expect(delays).toEqual([60_000, 120_000, 240_000, undefined])
  for (const delay of delays.slice(0, 3)) expect(defaultDelayStepsMs).toContain(delay)
  expect(retryDelay({ ...defaultRetry, retries: 9 }, 9)).toBe(600_000)
})
