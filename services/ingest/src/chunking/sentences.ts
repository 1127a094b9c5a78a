import type { TextRange } from '../document/document.ts'

const ABBREVIATIONS = new Set(
  'mr mrs ms dr prof st jr sr vs etc e.g i.e cf al fig figs eq no nos vol pp p ch sec ed eds approx inc ltd co'.split(
    ' ',
  ),
)
// A mark that ends a sentence, closing quotes and brackets, then white space; CJK marks need none. Or a line break.
const SENTENCE_END = /[.!?…]+["'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*|\n/g

/** Ranges of the sentences between `start` and `end`; between them is white space only. Linear. */
export function splitSentences(text: string, start: number, end: number): TextRange[] {
  const sentences: TextRange[] = []
  let from = start
  SENTENCE_END.lastIndex = start
  for (let match = SENTENCE_END.exec(text); match && match.index < end; match = SENTENCE_END.exec(text)) {
    const after = match.index + match[0].length
    if (match[0].startsWith('.') && !endsSentence(text, match.index, after)) continue
    push(sentences, text, from, Math.min(after, end))
    from = after
  }
  push(sentences, text, from, end)
  return sentences
}

/** A full stop after an abbreviation or an initial, or before a small letter, is none. */
function endsSentence(text: string, stop: number, after: number): boolean {
  const word = /[\p{L}.]*$/u.exec(text.slice(Math.max(0, stop - 12), stop))?.[0] ?? ''
  if (ABBREVIATIONS.has(word.toLowerCase()) || /^\p{Lu}$/u.test(word)) return false
  return !/^\s+\p{Ll}/u.test(text.slice(after, after + 8))
}

/** Ranges of lines, empty ones left out. */
export function splitLines(text: string, start: number, end: number): TextRange[] {
  const lines: TextRange[] = []
  let from = start
  while (from < end) {
    const feed = text.indexOf('\n', from)
    const to = feed === -1 || feed > end ? end : feed
    // The indentation of code belongs to the line.
    if (text.slice(from, to).trim() !== '') lines.push({ start: from, end: to })
    from = to + 1
  }
  return lines
}

/** Ranges of words, each cut to at most `longest` characters, never inside a surrogate pair. */
export function splitWords(text: string, start: number, end: number, longest: number): TextRange[] {
  const words: TextRange[] = []
  const word = /\S+/g
  word.lastIndex = start
  for (let match = word.exec(text); match && match.index < end; match = word.exec(text)) {
    const last = Math.min(match.index + match[0].length, end)
    for (let from = match.index; from < last; ) {
      let to = Math.min(from + longest, last)
      if (to < last && isHighSurrogate(text.charCodeAt(to - 1))) to += longest > 1 ? -1 : 1
      words.push({ start: from, end: to })
      from = to
    }
    if (last === end) break
  }
  return words
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

function push(ranges: TextRange[], text: string, start: number, end: number): void {
  let [from, to] = [start, end]
  while (from < to && isBlank(text.charCodeAt(from))) from += 1
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1
  if (from < to) ranges.push({ start: from, end: to })
}

function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x09
}
