import { approximateTokens } from '@mnemosyne/models/approximate-tokens'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_CHUNKING } from '../../test/default-chunking.ts'
import { type Block, renderDocument } from '../document/document.ts'
import type { Chunk, ChunkingConfig, LibraryType } from './chunk.ts'
import { chunkDocument, chunkUid } from './chunk-document.ts'

const ITEM = '0b5f4c1e-0000-4000-8000-000000000001'

function chunk(blocks: Block[], type: LibraryType, overrides: Partial<ChunkingConfig> = {}): Chunk[] {
  return chunkDocument(ITEM, { blocks }, { ...DEFAULT_CHUNKING[type], ...overrides }, approximateTokens)
}

const heading = (level: number, text: string): Block => ({ type: 'heading', level, text })
const paragraph = (text: string): Block => ({ type: 'paragraph', text })
const words = (count: number, word = 'heron') => Array.from({ length: count }, () => word).join(' ')
const sentences = (count: number) =>
  Array.from({ length: count }, (_, index) => `Heron number ${index} stands in the river and waits.`).join(
    ' ',
  )

describe('chunks by heading', () => {
  it('begin with their heading path and point at their body', () => {
    const blocks = [heading(1, 'Guide'), heading(2, 'Install'), paragraph(words(100))]
    const [only, ...others] = chunk(blocks, 'technical')
    expect(others).toEqual([])
    expect(only?.text).toBe(`Guide > Install\n\n${words(100)}`)
    expect(only?.section_path).toEqual(['Guide', 'Install'])
    expect(renderDocument({ blocks }).text.slice(only?.char_start, only?.char_end)).toBe(words(100))
  })

  it('have a path without the title of the document, which their text keeps', () => {
    const blocks = [
      heading(1, 'The Guide'),
      paragraph(words(100, 'intro')),
      heading(2, 'Install'),
      paragraph(words(100)),
    ]
    const config = DEFAULT_CHUNKING.technical
    const titled = chunkDocument(ITEM, { blocks, title: 'The guide.' }, config, approximateTokens)
    expect(titled.map((each) => each.section_path)).toEqual([[], ['Install']])
    expect(titled.map((each) => each.text.split('\n')[0])).toEqual(['The Guide', 'The Guide > Install'])
    const untitled = chunkDocument(ITEM, { blocks, title: 'Another' }, config, approximateTokens)
    expect(untitled).toEqual(
      titled.map((each) => ({ ...each, section_path: ['The Guide', ...each.section_path] })),
    )
  })

  it('have a path with a deeper heading of the same words', () => {
    const blocks = [heading(1, 'Part'), heading(2, 'Guide'), paragraph(words(100))]
    const [only] = chunkDocument(
      ITEM,
      { blocks, title: 'Guide' },
      DEFAULT_CHUNKING.technical,
      approximateTokens,
    )
    expect(only?.section_path).toEqual(['Part', 'Guide'])
  })

  it('join tiny neighbours under their parent, and no others', () => {
    const blocks = [
      heading(1, 'Guide'),
      heading(2, 'A'),
      paragraph('One.'),
      heading(2, 'B'),
      paragraph('Two.'),
      heading(1, 'Reference'),
      paragraph(words(295)),
    ]
    const chunks = chunk(blocks, 'technical')
    expect(chunks.map((each) => each.text.slice(0, 40))).toEqual([
      'Guide\n\nA\n\nOne.\n\nB\n\nTwo.',
      expect.stringMatching(/^Reference\n\nheron/),
    ])
  })

  it('keep a listing whole beyond the target, with the line that introduces it', () => {
    const code = Array.from({ length: 60 }, (_, line) => `call(${line})`).join('\n')
    const chunks = chunk(
      [heading(1, 'Use'), paragraph(words(250)), paragraph('Run this:'), { type: 'code', text: code }],
      'technical',
    )
    expect(chunks).toHaveLength(2)
    expect(chunks[1]?.text).toBe(`Use\n\nRun this:\n\n${code}`)
  })

  it('split a table beyond the maximum by rows and repeat its header and caption', () => {
    const rows = Array.from({ length: 200 }, (_, row) => [`Item ${row}`, `${row}00.5`])
    const chunks = chunk(
      [paragraph('Amounts in EUR:'), { type: 'table', header: [['Name', 'Amount']], rows }],
      'finance',
    )
    expect(chunks.length).toBeGreaterThan(3)
    for (const each of chunks) expect(each.text).toMatch(/^Amounts in EUR:\s+Name \| Amount\nItem \d+ \| /)
    expect(chunks.every((each) => /\d00\.5$/.test(each.text))).toBe(true)
  })

  it('split long code by lines under its first line', () => {
    const code = [
      'function heron() {',
      ...Array.from({ length: 300 }, (_, line) => `  step(${line})`),
      '}',
    ].join('\n')
    const chunks = chunk([{ type: 'code', text: code }], 'technical')
    expect(chunks.length).toBeGreaterThan(2)
    for (const each of chunks) expect(each.text).toMatch(/^function heron\(\) \{\n {2}step\(\d+\)\n/)
  })

  it('keep the path in bounds', () => {
    const deep = [1, 2, 3, 4, 5, 6].map((level) => heading(level, words(25, `level${level}`)))
    const [only] = chunk([...deep, paragraph('End.')], 'technical')
    expect(only?.section_path).toHaveLength(6)
    expect(only?.text).toContain('… > ')
    expect(only?.token_count).toBeLessThanOrEqual(480)
  })
})

describe('running text', () => {
  it('is cut between sentences and repeats the last ones where overlap is asked for', () => {
    const chunks = chunk([heading(1, 'Book'), paragraph(sentences(100))], 'nonfiction')
    expect(chunks.length).toBeGreaterThan(2)
    for (const each of chunks) expect(each.text).toMatch(/^Book\n\nHeron number \d+ stands[\s\S]*waits\.$/)
    const [first, second] = chunks
    expect(second!.char_start).toBeLessThan(first!.char_end)
  })

  it('does not end a sentence after an abbreviation', () => {
    const text = Array.from(
      { length: 80 },
      () => 'We met Dr. Heron at 3 p.m. on the bank of the river.',
    ).join(' ')
    const chunks = chunk([paragraph(text)], 'nonfiction', { overlap_tokens: 0 })
    for (const each of chunks) expect(each.text).toMatch(/^We met .* river\.$/)
  })
})

describe('kinds of library', () => {
  it('fiction finds chapters and scenes and keeps dialogue together', () => {
    const dialogue = Array.from({ length: 8 }, (_, line) =>
      paragraph(`“Who said line ${line}?” ${words(20)}`),
    )
    const blocks = [
      paragraph('CHAPTER I'),
      paragraph(words(200)),
      paragraph('* * *'),
      paragraph(words(200)),
      ...dialogue,
      paragraph('Chapter 2. The end'),
      paragraph(words(90)),
    ]
    const chunks = chunk(blocks, 'fiction')
    expect(chunks.map((each) => each.section_path)).toEqual([
      ['CHAPTER I'],
      ['CHAPTER I'],
      ['CHAPTER I'],
      ['Chapter 2. The end'],
    ])
    expect(chunks[2]?.text.match(/Who said/g)).toHaveLength(8)
  })

  it('journal makes one chunk of each date, however short', () => {
    const chunks = chunk(
      [
        paragraph('3 March 2024\nRain.'),
        paragraph('2024-03-04'),
        paragraph('Sun.'),
        heading(2, 'Tuesday, March 5, 2024'),
        paragraph('Wind.'),
      ],
      'journal',
    )
    expect(chunks.map((each) => each.text)).toEqual([
      '3 March 2024\n\nRain.',
      '2024-03-04\n\nSun.',
      'Tuesday, March 5, 2024\n\nWind.',
    ])
  })

  it('music keeps stanzas whole, with their labels', () => {
    const stanza = (label: string) => [
      paragraph(label),
      paragraph(Array.from({ length: 8 }, () => 'the heron stands alone tonight').join('\n')),
    ]
    const chunks = chunk(
      [heading(1, 'Heron song'), ...['[Verse 1]', '[Chorus]', '[Verse 2]', '[Chorus]'].flatMap(stanza)],
      'music',
      { target_tokens: 120 },
    )
    for (const each of chunks) expect(each.text).toMatch(/^Heron song\n\n\[/)
  })

  it('film opens a section at each scene heading and keeps speech with its speaker', () => {
    const speech = (name: string) => [paragraph(name), paragraph(words(60))]
    const chunks = chunk(
      [
        paragraph('INT. KITCHEN - NIGHT'),
        paragraph(words(60)),
        ...speech('MARA'),
        ...speech('JON (O.S.)'),
        paragraph('EXT. RIVER - DAY'),
        paragraph(words(70)),
      ],
      'film',
      { target_tokens: 150 },
    )
    expect(chunks.map((each) => each.section_path.at(-1))).toEqual([
      'INT. KITCHEN - NIGHT',
      'INT. KITCHEN - NIGHT',
      'EXT. RIVER - DAY',
    ])
    expect(chunks[1]?.text).toMatch(/JON \(O\.S\.\)\n\nheron/)
  })
})

describe('uids', () => {
  it('stay with an unchanged text and tell repeated texts apart', () => {
    const before = chunk(
      [heading(1, 'A'), paragraph(words(120)), heading(1, 'B'), paragraph(words(120, 'egret'))],
      'technical',
    )
    const after = chunk(
      [heading(1, 'A'), paragraph(words(130)), heading(1, 'B'), paragraph(words(120, 'egret'))],
      'technical',
    )
    expect(after[0]?.chunk_uid).not.toBe(before[0]?.chunk_uid)
    expect(after[1]?.chunk_uid).toBe(before[1]?.chunk_uid)
    expect(chunkUid(ITEM, 'a', 0)).not.toBe(chunkUid(ITEM, 'a', 1))
    expect(chunkUid(ITEM, 'a', 0)).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
  })
})

const text = fc
  .oneof(
    fc.lorem({ maxCount: 40, mode: 'sentences' }),
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc.constantFrom(
      'CHAPTER II',
      '* * *',
      '2024-05-01\nRain',
      'MARA',
      '“Yes,” he said.',
      'Table 1:',
      '漢字。'.repeat(300),
      'x'.repeat(3000),
      '🦆'.repeat(700),
    ),
  )
  .map((value) => value.replaceAll('\r', ' ').trim())
  .filter((value) => value !== '')
const block: fc.Arbitrary<Block> = fc.oneof(
  fc.record({
    type: fc.constant('heading' as const),
    level: fc.integer({ min: 1, max: 6 }),
    text: text.map((value) => value.replaceAll('\n', ' ')),
  }),
  fc.record({ type: fc.constant('paragraph' as const), text }),
  fc.record({ type: fc.constant('quotation' as const), text }),
  fc.record({ type: fc.constant('code' as const), text }),
  fc.record({
    type: fc.constant('list' as const),
    ordered: fc.boolean(),
    items: fc.array(fc.record({ text, level: fc.nat(3) }), { maxLength: 12 }),
  }),
  fc.record({
    type: fc.constant('table' as const),
    header: fc.option(fc.array(fc.array(text, { maxLength: 3 }), { maxLength: 2 }), { nil: undefined }),
    rows: fc.array(fc.array(text, { maxLength: 4 }), { maxLength: 12 }),
  }),
)

describe('any document', () => {
  it('loses no character and exceeds no limit', () => {
    fc.assert(
      fc.property(
        fc.array(block, { maxLength: 25 }),
        fc.constantFrom(...Object.values(DEFAULT_CHUNKING)),
        fc.integer({ min: 32, max: 480 }),
        (blocks, config, target) => {
          const rendered = renderDocument({ blocks })
          const chunks = chunkDocument(
            ITEM,
            { blocks },
            { ...config, target_tokens: target },
            approximateTokens,
          )
          const covered = new Uint8Array(rendered.text.length)
          for (const each of chunks) {
            covered.fill(1, each.char_start, each.char_end)
            expect(each.token_count).toBeLessThanOrEqual(480)
            expect(each.text.endsWith(rendered.text.slice(each.char_start, each.char_end))).toBe(true)
            expect(each.text.isWellFormed()).toBe(rendered.text.isWellFormed())
          }
          const shown = new Set(chunks.flatMap((each) => each.section_path))
          for (const [index, range] of rendered.blockRanges.entries()) {
            const firstLine = rendered.text.slice(range.start, range.end).split('\n')[0]!
            if (shown.has(firstLine) && blocks[index])
              covered.fill(1, range.start, range.start + firstLine.length)
          }
          for (const [index, character] of [...rendered.text.split('')].entries()) {
            if (character.trim() !== '' && !covered[index])
              expect.fail(`lost ${index}: ${JSON.stringify(rendered.text.slice(index, index + 40))}`)
          }
          expect(new Set(chunks.map((each) => each.chunk_uid)).size).toBe(chunks.length)
        },
      ),
      { numRuns: 300 },
    )
  })

  it.each([
    ['one line of 5 MB', [paragraph(words(850_000))]],
    ['one word of 5 MB', [paragraph('x'.repeat(5_000_000))]],
    [
      '100,000 rows',
      [
        {
          type: 'table',
          rows: Array.from({ length: 100_000 }, (_, row) => [`${row}`, 'heron', '12.50']),
        } satisfies Block,
      ],
    ],
    [
      '50,000 headings',
      Array.from({ length: 50_000 }, (_, index) => heading((index % 6) + 1, `Heron ${index}`)),
    ],
  ])('is cut in linear time: %s', (_, blocks) => {
    const started = performance.now()
    expect(chunk(blocks, 'technical').length).toBeGreaterThan(1)
    expect(performance.now() - started).toBeLessThan(15_000)
  })
})
