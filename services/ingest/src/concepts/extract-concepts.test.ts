import { describe, expect, it } from 'vitest'
import type { LibraryType } from '../chunking/chunk.ts'
import type { Block } from '../document/document.ts'
import { extractConcepts } from './extract-concepts.ts'

function extract(
  text: string,
  type: LibraryType = 'nonfiction',
  rest: { title?: string; authors?: string[]; blocks?: Block[] } = {},
) {
  const blocks: Block[] = [{ type: 'paragraph', text }, ...(rest.blocks ?? [])]
  return extractConcepts({ authors: [], ...rest, blocks }, type)
}

describe('concepts', () => {
  it('are the title, without what stands in parentheses', () => {
    const [first] = extract('Nothing.', 'nonfiction', { title: 'Great Heron (bird)' })
    expect(first).toMatchObject({ key: 'great heron', name: 'Great Heron', kind: 'title' })
  })

  it('are names, with connectors and without the possessive', () => {
    const concepts = extract(
      "We saw the University of Cambridge and Ada Lovelace's notes. Later Ada Lovelace went to New York in May.",
    )
    const named = concepts
      .filter(({ kind }) => kind === 'named')
      .map(({ key, frequency }) => [key, frequency])
    expect(named).toContainEqual(['university of cambridge', 1])
    expect(named).toContainEqual(['ada lovelace', 2])
    expect(named).toContainEqual(['new york', 1])
    expect(named.map(([key]) => key)).not.toContain('later')
    expect(named.map(([key]) => key)).not.toContain('may')
  })

  it('take the first word of a sentence only when it is a name elsewhere', () => {
    const keys = extract(
      'Herons fish. The Thames rises. Thames water is cold, and the Thames is long. Some herons sleep.',
    ).map(({ key }) => key)
    expect(keys).toContain('thames')
    expect(keys).not.toContain('herons')
  })

  it('are phrases that come at least twice', () => {
    const keys = extract(
      'The gradient descent method works. With gradient descent we train. Simulated annealing is slow.',
    ).map(({ key }) => key)
    expect(keys).toContain('gradient descent')
    expect(keys).not.toContain('simulated annealing')
  })

  it('are not phrases that come only inside a longer concept', () => {
    const text = 'The pump controller stops. The oil pump controller starts. An oil pump controller waits.'
    const keys = extract(text).map(({ key }) => key)
    expect(keys).toContain('oil pump controller')
    expect(keys).not.toContain('oil pump')
    expect(keys).toContain('pump controller')
  })

  it('are not the words of headings and table cells, but names and part numbers in them are', () => {
    const keys = extract('See below.', 'technical', {
      blocks: [
        { type: 'heading', level: 2, text: 'Maintenance and Repair' },
        {
          type: 'table',
          header: [['Part', 'Unit Price', 'Interval']],
          rows: [
            ['Pump', 'Ketter Works', 'Seconds'],
            ['BR40-212', 'Free', 'Gasket'],
          ],
        },
        { type: 'heading', level: 2, text: 'How to call Ketter Works' },
      ],
    }).map(({ key }) => key)
    expect(keys.toSorted()).toEqual(['br40 212', 'ketter works'])
  })

  it('are not ordinary words in capitals', () => {
    const keys = extract('Wait for RUN here. It may run on NASA wheels. When in RUN, stop.').map(
      ({ key }) => key,
    )
    expect(keys).toContain('nasa')
    expect(keys).not.toContain('run')
  })

  it('are titles of manuals as a whole, and no sentence that begins with "I" after a word', () => {
    const keys = extract(
      'See the Operation and Service Manual of it. Whenever I go, I go. World War I was long.',
    ).map(({ key }) => key)
    expect(keys.toSorted()).toEqual(['operation and service manual', 'world war i'])
  })

  it.each<[LibraryType, string, Block[], { key: string; concept_type: string }]>([
    ['technical', 'It fails with ECONNREFUSED now.', [], { key: 'econnrefused', concept_type: 'error' }],
    [
      'technical',
      'Run it.',
      [{ type: 'code', text: '$ git push origin' }],
      { key: 'git push', concept_type: 'command' },
    ],
    ['journal', '2024-03-01', [], { key: '2024 03 01', concept_type: 'date' }],
    ['finance', 'Revenue in Q3 2024 rose.', [], { key: 'q3 2024', concept_type: 'period' }],
    ['film', 'MARA\nI saw the heron.', [], { key: 'mara', concept_type: 'character' }],
    ['film', 'MAN\nI saw a man.', [], { key: 'man', concept_type: 'character' }],
  ])('have a type where a %s document shows it', (type, text, blocks, expected) => {
    expect(extract(text, type, { blocks })).toContainEqual(expect.objectContaining(expected))
  })

  it('are bounded in number and time', () => {
    const text = Array.from(
      { length: 40_000 },
      (_, index) => `Name${index} of alpha${index % 500} beta${index % 500}`,
    ).join('. ')
    const started = performance.now()
    const concepts = extract(text)
    expect(concepts.length).toBeLessThanOrEqual(400)
    expect(concepts.filter(({ kind }) => kind === 'phrase').length).toBeGreaterThanOrEqual(100)
    expect(performance.now() - started).toBeLessThan(3000)
    const rows = Array.from({ length: 500_000 }, (_, index) => [
      `Heron Works ${index}`,
      `Mill Works ${index}`,
    ])
    const tabled = performance.now()
    expect(extract('', 'finance', { blocks: [{ type: 'table', rows }] }).length).toBeLessThanOrEqual(400)
    expect(performance.now() - tabled).toBeLessThan(3000)
  })
})
