/** Longest text that is looked at, in UTF-16 units; what follows is neither indexed nor matched. */
const MAX_TEXT = 1_000_000
/** A longer word (base64, hashes, DNA) is cut, in the index as in the query: UTF-16 units. */
export const WORD_MAX = 64

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is meant from its first character
const ASCII = /^[\x00-\x7f]*$/
/** Scripts written without spaces between words, and Hangul, whose particles are glued on. */
const UNSPACED =
  '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Hangul}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}ー'
const UNSPACED_RUN = new RegExp(`([${UNSPACED}]+)`, 'u')
const UNSPACED_ANY = new RegExp(`[${UNSPACED}]`, 'u')
const LATIN_ACCENTS = /([\p{Script=Latin}\p{Script=Greek}])[\u0300-\u036f]+/gu
const LETTERS_FOLDED: Record<string, string> = {
  ß: 'ss',
  ẞ: 'SS',
  æ: 'ae',
  Æ: 'AE',
  œ: 'oe',
  Œ: 'OE',
  ø: 'o',
  Ø: 'O',
  ł: 'l',
  Ł: 'L',
  đ: 'd',
  Đ: 'D',
  ð: 'd',
  þ: 'th',
  ı: 'i',
}
const FOLDABLE = /[ßẞæÆœŒøØłŁđĐðþı]/g
const CLITICS = /(?<=[\p{L}\p{N}])['’](?:s|t|d|m|ll|re|ve)(?![\p{L}\p{N}])/giu
const ASCII_CLITICS = /(?<=[a-z0-9])'(?:s|t|d|m|ll|re|ve)(?![a-z0-9])/gi

export function isAscii(text: string): boolean {
  return ASCII.test(text)
}

/**
 * Brings text to the form that everything here reads: bounded, NFKC, Latin and Greek letters without accents
 * (other scripts keep their marks: they tell letters apart), without English clitics (`'s`, `'ll`), case kept.
 */
export function normalise(text: string): string {
  const bounded = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) : text
  if (isAscii(bounded)) return bounded.includes("'") ? bounded.replace(ASCII_CLITICS, '') : bounded
  return bounded
    .toWellFormed()
    .normalize('NFKD')
    .replace(LATIN_ACCENTS, '$1')
    .normalize('NFKC')
    .replace(FOLDABLE, (letter) => LETTERS_FOLDED[letter]!)
    .replace(CLITICS, '')
}

/** Maximal runs of letters, digits and marks in normalised text, lower-cased and cut to 64 UTF-16 units. */
export function runs(normalised: string): string[] {
  const lower = normalised.toLowerCase()
  const found = isAscii(lower) ? lower.match(/[a-z0-9]+/g) : lower.match(/[\p{L}\p{N}\p{M}]+/gu)
  return (found ?? []).map(cut)
}

/** The stretches of a run that are written without spaces, and those between them, in order. */
export function stretches(run: string): { text: string; unspaced: boolean }[] {
  if (!UNSPACED_ANY.test(run)) return [{ text: run, unspaced: false }]
  return run
    .split(UNSPACED_RUN)
    .filter((text) => text !== '')
    .map((text) => ({ text, unspaced: UNSPACED_ANY.test(text) }))
}

/**
 * The words of a text as concepts are matched by them: lower-case, unstemmed, none left out. In scripts written
 * without spaces every character is a word, so that a name is found inside a sentence.
 */
export function words(text: string): string[] {
  const found = runs(normalise(text))
  if (!UNSPACED_ANY.test(text)) return found
  return found.flatMap((run) =>
    stretches(run).flatMap((stretch) => (stretch.unspaced ? Array.from(stretch.text) : [stretch.text])),
  )
}

/** Cuts a word to its bound without parting a surrogate pair. */
export function cut(word: string): string {
  return word.length > WORD_MAX ? word.slice(0, WORD_MAX).replace(/[\ud800-\udbff]$/, '') : word
}
