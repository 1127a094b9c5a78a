import { describe, expect, test } from 'vitest'
import { adjacentLink, chooseSeeds, type Link, linkPoints, sharedLink } from './links.ts'

const SELF = 1.75 * 1.4

test('the first six are seeds, and weigh less the further they are behind', () => {
  const scores = new Map(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((uid, index) => [uid, 5 - index]))
  const seeds = chooseSeeds([...scores.keys()], scores)
  expect(seeds.map(({ uid }) => uid)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
  expect(seeds[0]!.weight).toBe(1)
  expect(seeds[2]!.weight).toBeCloseTo(Math.exp(-2))
  expect(chooseSeeds([], new Map())).toEqual([])
})

describe('points of links', () => {
  const seeds = [
    { uid: 's', weight: 1 },
    { uid: 't', weight: 0.5 },
  ]
  const byS: Link = sharedLink('s', { name: 'Ada', weight: 0.6 }, null)

  test.each<[string, [string, Link[]][], string, number, string | null]>([
    ['a seed keeps its link to itself', [], 's', SELF, null],
    ['a weaker seed less of it', [], 't', SELF / 2, null],
    ['a linked passage gets the strength', [['n', [byS]]], 'n', 1.75 * 0.6, 's'],
    ['the best of several links counts', [['n', [byS, adjacentLink('t')]]], 'n', 1.75 * 0.6, 's'],
    [
      'a title adds to it',
      [['n', [sharedLink('s', { name: 'Ada', weight: 0.6 }, 'Byron')]]],
      'n',
      1.75 * 1.4,
      's',
    ],
    ['a title alone links', [['n', [sharedLink('t', null, 'Byron')]]], 'n', 0.5 * 1.75 * 0.8, 't'],
    ['a seed is not lowered by a weaker link', [['s', [adjacentLink('t')]]], 's', SELF, null],
    [
      'a strong link to a seed wins',
      [['t', [sharedLink('s', { name: 'Ada', weight: 1 }, null)]]],
      't',
      1.75,
      's',
    ],
  ])('%s', (_, links, uid, points, from) => {
    const found = linkPoints(seeds, new Map(links)).get(uid)!
    expect(found.points).toBeCloseTo(points)
    expect(found.link?.seed ?? null).toBe(from)
  })

  test('what no link reaches has none', () => {
    expect(linkPoints(seeds, new Map()).has('n')).toBe(false)
  })
})
