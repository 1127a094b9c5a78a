import { words } from '@mnemosyne/graph'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NearDuplicates, shinglesOf } from './near-duplicates.ts'

const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `word${from + index}`).join(' ')

function areAlike(a: string, b: string): boolean {
  const known = new NearDuplicates()
  known.add('a', shinglesOf(a))
  return known.find(shinglesOf(b)) === 'a'
}

describe('nearly the same', () => {
  test.each<[string, string, string, boolean]>([
    ['the same text', 'Prime the pump first.', 'Prime the pump first.', true],
    ['case, punctuation, white space', 'Prime the pump,\n first!', 'prime THE pump first', true],
    ['one word of a hundred', numbered(100), numbered(100).replace('word50', 'other'), true],
    ['one word of ten', numbered(10), numbered(10).replace('word5', 'other'), false],
    ['a tail of a third', numbered(100), numbered(100, 34), false],
    ['another order of sentences', `${numbered(50)} ${numbered(50, 50)}`, numbered(100, 50), false],
    ['two words alone', 'Not applicable.', 'not applicable', true],
    ['two words, one differs', 'Not applicable.', 'Not needed.', false],
    ['Chinese', '启动水泵之前检查水位和压力。'.repeat(3), '启动水泵之前检查水位和压力'.repeat(3), true],
    ['signs alone', '🎉 🎉', '🎉🎉', true],
    ['other signs', '🎉', '💧', false],
    ['nothing', '', '', false],
  ])('%s', (_, a, b, alike) => {
    expect(areAlike(a, b)).toBe(alike)
  })

  test('is what the whole sets say, for any texts', () => {
    const runsOf = (text: string) => {
      const all = words(text)
      const count = Math.max(1, all.length - 4)
      return new Set(Array.from({ length: count }, (_, start) => all.slice(start, start + 5).join(' ')))
    }
    const text = fc
      .array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 60 })
      .map((numbers) => numbers.map((number) => `w${number}`).join(' '))
    fc.assert(
      fc.property(text, fc.nat({ max: 59 }), text, (a, at, other) => {
        // A change in one place, so that many pairs are near to the threshold.
        const changed = a
          .split(' ')
          .with(at % a.split(' ').length, 'changed')
          .join(' ')
        for (const b of [changed, other, `${a} w9`]) {
          const [left, right] = [runsOf(a), runsOf(b)]
          const resemblance =
            [...left].filter((run) => right.has(run)).length / new Set([...left, ...right]).size
          expect(areAlike(a, b)).toBe(resemblance >= 0.9)
        }
      }),
    )
  })
})
