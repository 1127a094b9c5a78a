import { describe, expect, test } from 'vitest'
import { ByteMatrix } from './byte-matrix.ts'
import { dot, normalised } from './vector-math.ts'

/** Numbers from 0 to 1, the same ones each time. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const random = randomNumbers(7)
const spread = (size: number) => Float32Array.from({ length: size }, () => random() - 0.5)
const near = (to: Float32Array, by: number) => to.map((value) => value + by * (random() - 0.5))

const DIMENSIONS = 96
const CENTRE = spread(DIMENSIONS)
const SHAPES: [string, () => Float32Array][] = [
  ['in all directions', () => spread(DIMENSIONS)],
  ['close together', () => near(CENTRE, 0.05)],
  ['so close that bytes hardly tell them apart', () => near(CENTRE, 0.002)],
  [
    'with one number far above the others',
    () => spread(DIMENSIONS).map((value, at) => (at === 3 ? 9 : value / 50)),
  ],
  ['with most numbers 0', () => spread(DIMENSIONS).map((value) => (random() < 0.95 ? 0 : value))],
  [
    'in one of two opposite directions',
    () => near(random() < 0.5 ? CENTRE : CENTRE.map((value) => -value), 0.1),
  ],
]

describe('vectors in bytes', () => {
  test.each(SHAPES)('%s: none that is left out is nearer than is said', (_, vector) => {
    for (let round = 0; round < 20; round++) {
      const rows = Array.from({ length: 300 }, () => normalised(vector()))
      const bytes = new ByteMatrix(DIMENSIONS)
      for (const [row, one] of rows.entries()) bytes.set(row, one)
      const query = normalised(vector())
      const found = bytes.nearest(query, rows.length, 40)
      if (!found) continue
      const kept = new Set(found.rows)
      expect(kept.size).toBe(40)
      const others = rows.filter((_, row) => !kept.has(row))
      const nearest = Math.max(...others.map((one) => dot(query, one, 0, DIMENSIONS)))
      expect(nearest).toBeLessThanOrEqual(found.othersAtMost(40))
    }
  })

  test('the bound is of use: vectors in all directions are told apart by it', () => {
    const rows = Array.from({ length: 2_000 }, () => normalised(spread(DIMENSIONS)))
    const bytes = new ByteMatrix(DIMENSIONS)
    for (const [row, one] of rows.entries()) bytes.set(row, one)
    const query = normalised(spread(DIMENSIONS))
    const tenth = rows.map((one) => dot(query, one, 0, DIMENSIONS)).sort((a, b) => b - a)[9]!
    expect(bytes.nearest(query, rows.length, 60)!.othersAtMost(60)).toBeLessThan(tenth)
  })

  test('a row that was moved is found where it is', () => {
    const rows = Array.from({ length: 50 }, () => normalised(spread(DIMENSIONS)))
    const bytes = new ByteMatrix(DIMENSIONS)
    for (const [row, one] of rows.entries()) bytes.set(row, one)
    bytes.copy(49, 5)
    expect(bytes.nearest(rows[49]!, 49, 1)!.rows).toEqual([5])
  })

  test.each<[string, Float32Array[], Float32Array]>([
    ['a row without a direction', [new Float32Array(DIMENSIONS), CENTRE], CENTRE],
    ['a query without a direction', [CENTRE], new Float32Array(DIMENSIONS)],
  ])('%s proves nothing', (_, vectors, query) => {
    const bytes = new ByteMatrix(DIMENSIONS)
    for (const [row, one] of vectors.entries()) bytes.set(row, normalised(one))
    expect(bytes.nearest(normalised(query), vectors.length, 1)).toBeNull()
  })
})
