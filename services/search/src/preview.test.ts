import { queryTerms } from '@mnemosyne/graph'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Highlighter, preview } from './preview.ts'

const highlighter = (query: string) => new Highlighter(queryTerms(query).terms)
const marked = (text: string, query: string) => {
  const shown = preview(text, highlighter(query))
  return shown.highlights.map(([start, end]) => shown.text_preview.slice(start, end))
}
const FILLER = 'The harbour was quiet and nobody came down to the water that day. '

describe('highlights', () => {
  test.each([
    ['inflected words', 'She was running; he runs.', 'run', ['running', 'runs']],
    ['no stop words', 'To be or not to be, said Hamlet.', 'to be hamlet', ['Hamlet']],
    ['accents and case', 'CAFÉ and cafe', 'café', ['CAFÉ', 'cafe']],
    ['words of a phrase', 'the golden gate', '"golden gate"', ['golden', 'gate']],
    ['nothing for operators', 'AND * ( OR', '*(', []],
    ['words beside emoji', '🎉party🎉', 'party', ['party']],
  ])('%s', (_, text, query, expected) => {
    expect(marked(text, query)).toEqual(expected)
  })
})

describe('the preview', () => {
  test('is the whole of a short passage', () => {
    expect(preview('  One.\nTwo. ', highlighter('x')).text_preview).toBe('One.\nTwo.')
  })

  test('is whole sentences around what the query looks for', () => {
    const text = `${FILLER.repeat(12)}The lighthouse keeper, Ada, wrote a ledger. ${FILLER.repeat(12)}`
    const { text_preview } = preview(text, highlighter('lighthouse ledger'))
    expect(text_preview).toContain('The lighthouse keeper, Ada, wrote a ledger.')
    expect(text_preview).toMatch(/^The .*day\.$/s)
    expect(text_preview.length).toBeLessThanOrEqual(500)
  })

  test('is the beginning when nothing matches', () => {
    expect(preview(`Start here. ${FILLER.repeat(20)}`, highlighter('zebra')).text_preview).toMatch(
      /^Start here\./,
    )
  })

  test('cuts a text without sentences at a space, and one without spaces between characters', () => {
    expect(preview('word '.repeat(300), highlighter('x')).text_preview).toMatch(/word$/)
    const { text_preview } = preview('𝔘'.repeat(800), highlighter('x'))
    expect(text_preview.isWellFormed()).toBe(true)
    expect(text_preview.length).toBeGreaterThan(400)
  })

  test('of any text is part of it, short, and its highlights lie inside', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 3000 }),
        fc.string({ maxLength: 50 }),
        (text, query) => {
          const { text_preview, highlights } = preview(text, highlighter(query))
          expect(text).toContain(text_preview)
          expect(text_preview.length).toBeLessThanOrEqual(600)
          for (const [start, end] of highlights) {
            expect(start).toBeLessThan(end)
            expect(end).toBeLessThanOrEqual(text_preview.length)
          }
        },
      ),
    )
  })
})
