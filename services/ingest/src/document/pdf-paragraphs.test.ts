import type { TextItem } from '@llamaindex/liteparse'
import { describe, expect, it } from 'vitest'
import { dropRunningLines } from './pdf-pages.ts'
import { splitParagraphs } from './pdf-paragraphs.ts'

interface Placed {
  text: string
  /** Points from the line above. */
  gap?: number
  indent?: number
}

const HEIGHT = 10
const ADVANCE = 5

/** Glyph runs of lines under each other, each letter as wide as the other. */
function place(lines: Placed[]): TextItem[] {
  let y = 0
  return lines.map(({ text, gap = 12, indent = 0 }) => {
    y += gap
    return { text, x: 72 + indent, y, width: text.length * ADVANCE, height: HEIGHT }
  })
}

function split(lines: Placed[], text = lines.map((line) => line.text).join(' ')): string[][] {
  return splitParagraphs(text, place(lines)).map((parts) => parts.map((part) => part.trim()))
}

const FULL = [
  { text: 'The grey heron stands in the shallow water all day' },
  { text: 'and waits for a fish, a frog or a vole, and strikes' },
]

describe('paragraphs of a block', () => {
  it('begin after a wide gap', () => {
    expect(split([...FULL, { text: 'when one comes.' }, { text: 'It sleeps at night.', gap: 20 }])).toEqual([
      [`${FULL[0]!.text} ${FULL[1]!.text} when one comes.`],
      ['It sleeps at night.'],
    ])
  })

  it.each([
    ['a tall formula in mid-sentence', { text: 'H over two, and no more.', gap: 17 }],
    ['a gap in mid-sentence', { text: 'when one comes near it.', gap: 24 }],
  ])('do not begin after %s', (_, line) => expect(split([...FULL, line])).toHaveLength(1))

  it('begin with an indented line after the end of a sentence', () => {
    const lines = [
      ...FULL,
      { text: 'when one comes near.' },
      { text: 'At night it sleeps.', indent: 12 },
      ...FULL,
    ]
    expect(split(lines).map(([part]) => part?.slice(0, 8))).toEqual(['The grey', 'At night'])
  })

  it('do not begin with a hanging indent or in a block that is not what its area shows', () => {
    expect(
      split([FULL[0]!, { ...FULL[1]!, indent: 12 }, { text: 'when one comes.', indent: 12 }]),
    ).toHaveLength(1)
    expect(split([...FULL, { text: 'It sleeps.', gap: 30 }], 'Something else.')).toEqual([
      ['Something else.'],
    ])
  })

  it('hold together a word that was broken by the line end', () => {
    const lines = [...FULL, { text: 'The he-' }, { text: 'ron', gap: 24 }]
    const text = `${FULL[0]!.text} ${FULL[1]!.text} The heron`
    expect(split(lines, text)).toEqual([[text]])
  })
})

describe('lines', () => {
  it.each([
    [
      'verse',
      [
        'Like one who, on a lonely road,',
        'Doth walk in fear and dread,',
        'And, having once turned round, walks on,',
      ],
    ],
    ['an address', ['Heron & Sons', '12 Mill Lane', 'Little Marlow SL7 3RZ']],
  ])('are kept in %s', (_, lines) => expect(split(lines.map((text) => ({ text })))).toEqual([lines]))

  it('are joined in running text of which every line begins with a capital', () => {
    const lines = ['The River Thames and Its', 'Herons Were Described by', 'Ada Lovelace in Letters.']
    expect(split(lines.map((text) => ({ text })))).toEqual([[lines.join(' ')]])
  })
})

describe('running lines', () => {
  it('are not found in marks without letters, whatever else stands at the edge of a page', () => {
    const pages = [1, 2, 3].map((page) => [
      { type: 'paragraph' as const, text: '®', page },
      { type: 'table' as const, rows: [['a', 'b']], page },
      { type: 'paragraph' as const, text: `${page} heron `.repeat(40), page },
    ])
    expect(dropRunningLines(pages)).toEqual(pages)
  })
})
