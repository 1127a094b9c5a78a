import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesOf } from './term-ledger.ts'
import { TextSegment } from './text-segment.ts'

const TERMS = [1, 2, 3, 500]
const part = fc.array(fc.constantFrom(0, ...TERMS), { maxLength: 8 })
const passage = fc.record({ title: part, text: part })
type Passage = { title: number[]; text: number[] }

function segmentOf(passages: Passage[], firstChunk: number): TextSegment {
  return TextSegment.of(
    passages.map(({ title, text }, i) => ({
      chunk: firstChunk + i,
      collection: i % 2 === 0 ? null : i,
      data: bytesOf(Uint32Array.from([title.length, ...title, 0, ...text])),
    })),
  )
}

function times(list: number[], term: number): number {
  return list.filter((one) => one === term).length
}

describe('a text segment', () => {
  it('knows how often each chunk holds each term, whatever was merged and taken out', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(passage, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(30)),
        fc.boolean(),
        (batches, removed, again) => {
          const segments = batches.map((batch, n) => segmentOf(batch, n * 10))
          const left = new Map(batches.flatMap((batch, n) => batch.map((one, i) => [n * 10 + i, one])))
          for (const chunk of removed) {
            for (const segment of segments) segment.remove(chunk)
            left.delete(chunk)
          }
          const once = TextSegment.merged(segments)
          const merged = again ? TextSegment.merged([once]) : once
          expect(merged.size).toBe(left.size)
          for (const [chunk, { title, text }] of left) {
            const row = merged.rowOf(chunk)!
            const counts = TERMS.map((term) => merged.countIn(row, merged.postingsOf(term)))
            expect(counts).toEqual(TERMS.map((term) => 2 * times(title, term) + times(text, term)))
            const length = [...title, ...title, ...text].filter((term) => term !== 0).length
            expect([merged.chunks[row], merged.lengths[row]]).toEqual([chunk, length])
          }
          const postings = TERMS.map((term) => merged.postingsOf(term))
          expect(postings.reduce((sum, [start, end]) => sum + end - start, 0)).toBe(merged.rows.length)
        },
      ),
    )
  })
})
