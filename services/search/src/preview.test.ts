import { queryTerms } from '@mnemosyne/graph'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Highlighter } from './highlighter.ts'
import { preview } from './preview.ts'

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
    [
      'what is sought in a script without spaces',
      '请在水泵启动之前检查水位。',
      '水泵 启动',
      ['水泵', '启动'],
    ],
    ['pairs that overlap as one', '请在水泵机启动', '水泵机', ['水泵机']],
    ['a single ideograph', '水位与水泵', '水', ['水', '水']],
    [
      'parts of identifiers',
      'call getUserName(x) or user_name',
      'user name',
      ['getUserName', 'user', 'name'],
    ],
    ['a letter with all its marks', 'Cafe\u0301\u200d!', 'café', ['Cafe\u0301\u200d']],
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

  test('of joined passages is so much longer', () => {
    expect(preview(FILLER.repeat(60), highlighter('x'), 3).text_preview.length).toBeGreaterThan(1_200)
    expect(preview(FILLER.repeat(60), highlighter('x'), 30).text_preview.length).toBeLessThanOrEqual(2_000)
  })

  test.each([
    ['Japanese', 'これは港の話です。', '。'],
    ['Hindi', 'यह बंदरगाह की कहानी है। ', '।'],
    ['Arabic', 'هل هذا هو الميناء؟ ', '؟'],
    ['Armenian', 'Սա նավահանգիստ է։ ', '։'],
    ['Amharic', 'ይህ ወደብ ነው። ', '።'],
    ['Khmer', 'នេះជាកំពង់ផែ។', '។'],
  ])('ends where a sentence ends in %s', (_, sentence, stop) => {
    const { text_preview } = preview(sentence.repeat(80), highlighter('x'))
    expect(text_preview.endsWith(stop)).toBe(true)
    expect(text_preview.length).toBeGreaterThan(250)
  })

  test('of Thai, which has no full stop and no spaces, ends where a word ends', () => {
    const sentence = 'ท่าเรือเงียบสงบและไม่มีใครลงมาที่น้ำในวันนั้น'
    const { text_preview } = preview(sentence.repeat(30), highlighter('x'))
    const words = [...new Intl.Segmenter('th', { granularity: 'word' }).segment(sentence.repeat(30))]
    expect(words.map(({ index }) => index)).toContain(text_preview.length)
    expect(text_preview.length).toBeGreaterThan(400)
  })

  const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
  const boundaries = (text: string) =>
    new Set([...graphemes.segment(text)].map(({ index }) => index).concat(text.length))

  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400, size: 'max' }),
    fc.string({ unit: 'grapheme-composite', maxLength: 400, size: 'max' }),
    fc.string({ unit: 'grapheme', maxLength: 400, size: 'max' }),
    fc.constantFrom(
      'pump',
      'pump\u0301',
      'Pumps. ',
      '水泵启动',
      '。',
      '👩‍👩‍👧pump',
      '\u0600pump',
      '\r\n',
      FILLER,
    ),
  )
  test('of any text is one piece of it, short, and parts no character; so do the highlights, in order', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
        fc.oneof(fc.string({ maxLength: 50 }), fc.constantFrom('pump', '水泵', 'the harbour')),
        fc.integer({ min: 1, max: 5 }),
        (text, query, passages) => {
          const { text_preview, highlights } = preview(text, highlighter(query), passages)
          const at = text.indexOf(text_preview)
          expect(at).toBeGreaterThanOrEqual(0)
          expect(text_preview.length).toBeLessThanOrEqual(500 * passages + 100 + 2 * 64)
          const whole = boundaries(text_preview)
          let before = 0
          for (const [start, end] of highlights) {
            expect(start).toBeGreaterThanOrEqual(before)
            expect(end).toBeGreaterThan(start)
            expect(whole).toContain(start)
            expect(whole).toContain(end)
            before = end
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('begins and ends between characters', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 3, maxLength: 12 }).map((pieces) => pieces.join('')),
        (text) => {
          const { text_preview } = preview(text, highlighter('pump'))
          const whole = boundaries(text)
          const starts = [...whole].filter((at) => text.startsWith(text_preview, at))
          expect(starts.some((at) => whole.has(at + text_preview.length))).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })

  test.each([
    ['sentences', 'The keeper trimmed the lamp before the tide turned. ', 'which keeper trimmed the lamp?'],
    ['ideographs', '启动之前必须给水泵灌水', '启动之前必须给水泵灌水'],
  ])('of very many %s that are all looked for takes no long time', (_, sentence, query) => {
    const text = sentence.repeat(Math.ceil(500_000 / sentence.length))
    const started = performance.now()
    const { text_preview, highlights } = preview(text, highlighter(query), 100)
    // Two orders of magnitude less where time grows with the text and not with its square.
    expect(performance.now() - started).toBeLessThan(1_000)
    expect([text_preview.length > 1_000, highlights.length > 0]).toEqual([true, true])
  })

  test('bears a flood of marks', () => {
    const { text_preview } = preview(`e${'\u0301'.repeat(5_000)}`, highlighter('e'))
    expect(text_preview.length).toBeLessThanOrEqual(600)
    expect(preview('𝔘\u{e0100}'.repeat(900), highlighter('x')).text_preview.isWellFormed()).toBe(true)
  })
})
