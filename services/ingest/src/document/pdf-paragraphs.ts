import type { TextItem } from '@llamaindex/liteparse'

interface Line {
  /** Letters and digits only, in which a block's text and its glyph runs can be compared. */
  letters: string
  text: string
  left: number
  right: number
  /** Of the line's lowest glyphs, from the top of the page. */
  bottom: number
  height: number
}

type Break = 'wrap' | 'line' | 'paragraph'

/** Gap between base lines, as a multiple of the usual one, from which a paragraph begins. */
const PARAGRAPH_GAP = 1.3
/** The same where the text does not confirm it: a tall formula pushes lines apart as well. */
const CERTAIN_GAP = 1.7
const FEWEST_VERSES = 3
const SENTENCE_END = /[.!?:;…。！？]["”’»')\]]*$/
const LETTER = /[\p{L}\p{N}]/u

/**
 * The paragraphs of a block that the layout analysis took for one, in parts of its `text`, and their lines where
 * line breaks carry meaning. A paragraph begins after a gap wider than the block's usual one, or with an indented
 * line after the end of a sentence. Lines are verse (or an address) where the next one's first word would have
 * fitted. `items` are the glyph runs in the block's area; where they do not tell the same text, as in a block that
 * goes on in the next column, nothing is changed.
 */
export function splitParagraphs(text: string, items: TextItem[]): string[][] {
  const lines = toLines(items)
  const ends = lineEnds(text, lines)
  if (!ends || lines.length < 2) return [[text]]
  const breaks = findBreaks(lines)
  const paragraphs: string[][] = [[]]
  let from = 0
  breaks.forEach((kind, index) => {
    const end = ends[index]
    // A word that the layout analysis made whole again over the line break holds the lines together.
    if (kind === 'wrap' || end === undefined) return
    paragraphs.at(-1)!.push(text.slice(from, end))
    from = end
    if (kind === 'paragraph') paragraphs.push([])
  })
  paragraphs.at(-1)!.push(text.slice(from))
  return paragraphs
}

function toLines(items: TextItem[]): Line[] {
  const rows: TextItem[][] = []
  let [top, bottom] = [0, Number.NEGATIVE_INFINITY]
  for (const item of [...items].sort((a, b) => a.y + a.height / 2 - b.y - b.height / 2)) {
    const middle = item.y + item.height / 2
    if (rows.length > 0 && middle > top && middle < bottom) rows.at(-1)!.push(item)
    else {
      rows.push([item])
      bottom = Number.NEGATIVE_INFINITY
    }
    // A raised or lowered mark does not move the line.
    if (bottom === Number.NEGATIVE_INFINITY || item.height > bottom - top)
      [top, bottom] = [item.y, item.y + item.height]
  }
  return rows.map(toLine).filter(({ letters }) => letters !== '')
}

function toLine(row: TextItem[]): Line {
  row.sort((a, b) => a.x - b.x)
  const tallest = row.reduce((most, item) => (item.height > most.height ? item : most))
  const text = row.map((item) => item.text).join(' ')
  return {
    text,
    letters: lettersOf(text),
    left: row[0]!.x,
    right: row.reduce((most, { x, width }) => Math.max(most, x + width), 0),
    bottom: tallest.y + tallest.height,
    height: tallest.height,
  }
}

function lettersOf(text: string): string {
  return text.replace(/[^\p{L}\p{N}]+/gu, '')
}

/** Where each line's blank after it stands in the text; undefined in place of one where the text has no blank. */
function lineEnds(text: string, lines: Line[]): (number | undefined)[] | undefined {
  if (lettersOf(text) !== lines.map(({ letters }) => letters).join('')) return undefined
  let position = 0
  return lines.map(({ letters }) => {
    for (let count = 0; count < letters.length && position < text.length; ) {
      const character = String.fromCodePoint(text.codePointAt(position)!)
      if (LETTER.test(character)) count += character.length
      position += character.length
    }
    const rest = /^[^\p{L}\p{N}\s]*(?=\s|$)/u.exec(text.slice(position, position + 20))
    return rest ? position + rest[0].length : undefined
  })
}

/** What stands between each line and the next. */
function findBreaks(lines: Line[]): Break[] {
  const gaps = lines.slice(1).map(({ bottom }, index) => bottom - lines[index]!.bottom)
  const usual = gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 4)]!
  const starts = gaps.map((gap, index) => isParagraphGap(gap / usual, lines[index]!, lines[index + 1]!))
  const breaks: Break[] = starts.map((start) => (start ? 'paragraph' : 'wrap'))
  for (let from = 0; from < lines.length; ) {
    const next = starts.indexOf(true, from)
    const to = next === -1 ? lines.length : next + 1
    const part = lines.slice(from, to)
    if (isVerse(part)) breaks.fill('line', from, to - 1)
    else for (const index of indented(part)) breaks[from + index - 1] = 'paragraph'
    from = to
  }
  return breaks
}

function isParagraphGap(ratio: number, above: Line, below: Line): boolean {
  if (ratio < PARAGRAPH_GAP || /^\p{Ll}/u.test(below.text)) return false
  return ratio >= CERTAIN_GAP || SENTENCE_END.test(above.text)
}

/** Lines that begin with a capital and end before they are full. */
function isVerse(lines: Line[]): boolean {
  if (lines.length < FEWEST_VERSES) return false
  const edge = lines.reduce((most, { right }) => Math.max(most, right), 0)
  const broken = lines.slice(1).filter((line, index) => lines[index]!.right + firstWordWidth(line) < edge)
  const capitals = lines.filter(({ text }) => /^[\p{Pi}"'(*]*[\p{Lu}\p{N}]/u.test(text))
  return broken.length >= (lines.length - 1) / 2 && capitals.length >= lines.length * 0.8
}

/** Of the first word and the blank before it, roughly. */
function firstWordWidth({ text, left, right }: Line): number {
  return ((right - left) / text.length) * (text.split(' ', 1)[0]!.length + 1)
}

/** The first lines of paragraphs that are told only by their indentation. */
function indented(lines: Line[]): number[] {
  const margin = lines.map(({ left }) => left).toSorted((a, b) => a - b)[Math.floor(lines.length / 4)]!
  const indents = lines.map(({ left, height }) => (left - margin) / height)
  return lines.flatMap((line, index) => {
    const isIndented = indents[index]! > 0.6 && indents[index]! < 4
    const isFirst = index > 0 && indents[index - 1]! < 0.3 && (indents[index + 1] ?? 0) < 0.3
    return isIndented && isFirst && SENTENCE_END.test(lines[index - 1]!.text) && !/^\p{Ll}/u.test(line.text)
      ? [index]
      : []
  })
}
