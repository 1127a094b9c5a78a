const PIECES =
  /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{L}[\p{L}\p{M}]*|\p{N}+|[^\s\p{L}\p{N}]/gu

/**
 * Counts tokens without a model: a word is one piece per six letters (two outside of the Latin script), a number
 * one per three digits, a CJK character or a mark one. On English prose a few per cent above WordPiece; the README
 * has how far off it is elsewhere.
 */
export function approximateTokens(text: string): number {
  let count = 0
  for (const [piece] of text.matchAll(PIECES)) {
    const first = piece.charCodeAt(0)
    const isDigit = first >= 0x30 && first <= 0x39
    count += isDigit ? Math.ceil(piece.length / 3) : Math.ceil(piece.length / (first < 0x250 ? 6 : 2))
  }
  return count
}
