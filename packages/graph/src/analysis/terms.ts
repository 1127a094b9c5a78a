import porter2 from 'wink-porter2-stemmer'
import { cut, normalise, runs, stretches } from './words.ts'

/**
 * Words that carry no meaning of their own: articles, pronouns, auxiliaries, question words. The long list was
 * worth 6 nDCG points over a short one on conversations.
 */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  (
    'a an and are as at be but by for if in into is it no not of on or such that the their then there these ' +
    'they this to was will with i me my we our you your he him his she her its what which who whom whose when ' +
    'where why how do does did doing has have had having been being am were would should could can may might ' +
    'must shall about from so than too very just also some any each other more most own same those us them'
  ).split(' '),
)

const STEMS_KEPT = 100_000
const stems = new Map<string, string>()

/**
 * Snowball English (Porter 2). Only words of the letters a–z are stemmed: the stemmer marks a consonant Y with
 * the digit 3 and so damages numbers (`1003` would become `100i`).
 */
export function stem(word: string): string {
  const known = stems.get(word)
  if (known !== undefined) return known
  const result = word.length > 2 && /^[a-z]+$/.test(word) ? porter2(word) : word
  if (stems.size >= STEMS_KEPT) stems.clear()
  stems.set(word, result)
  return result
}

/** What a text is indexed by. */
export interface Analysis {
  /** Stems of its words in order, without stop words; phrases are runs of these. */
  stream: string[]
  /** Further terms without a place in that order: whole identifiers, their camel-case parts, single ideographs. */
  extras: string[]
}

/**
 * Analyses text for the full-text index and for queries. Words of other languages pass as they are; runs of
 * Han, Kana, Hangul, Thai, Lao, Khmer and Burmese become overlapping pairs of characters.
 * Identifiers and numbers (`snake_case`, `foo.bar()`, `ERR-1234`, `std::map`, `c++`, `1,000`) are found by
 * their parts, which stand in `stream`, and as a whole, which stands in `extras`.
 */
export function analyse(text: string): Analysis {
  const normalised = normalise(text)
  const stream: string[] = []
  const extras: string[] = []
  for (const run of runs(normalised)) {
    if (STOP_WORDS.has(run)) continue
    if (/^[a-z0-9]*$/.test(run)) stream.push(stem(run))
    else addStretches(run, stream, extras)
  }
  addIdentifiers(normalised, extras)
  return { stream, extras }
}

/** The terms of a text: stemmed, without stop words, at most 64 characters each, repeats kept. */
export function terms(text: string): string[] {
  const { stream, extras } = analyse(text)
  return extras.length === 0 ? stream : [...stream, ...extras]
}

function addStretches(run: string, stream: string[], extras: string[]): void {
  for (const { text, unspaced } of stretches(run)) {
    if (!unspaced) {
      stream.push(stem(text))
      continue
    }
    const characters = Array.from(text)
    if (characters.length === 1) stream.push(text)
    for (let i = 0; i + 1 < characters.length; i++) stream.push(characters[i]! + characters[i + 1]!)
    if (characters.length > 1) {
      for (const character of characters) if (/\p{Script=Han}/u.test(character)) extras.push(character)
    }
  }
}

// Each joiner must stand between two word characters, so the match is linear in the text's length.
const IDENTIFIER =
  /[\p{L}\p{N}\p{M}_]+(?:(?:[.-]|::|(?<=\p{N})[,:](?=\p{N}))[\p{L}\p{N}\p{M}_]+)+|[\p{L}\p{N}\p{M}]*_[\p{L}\p{N}\p{M}_]+|(?<![\p{L}\p{N}])\p{L}(?:\+\+|#)(?!\p{L}|\p{N})|[\p{L}\p{N}]*\p{Ll}\p{Lu}[\p{L}\p{N}]*/gu
const MAY_HOLD_IDENTIFIER = /[_.:,+#-]\S|\S[+#]|\p{Ll}\p{Lu}/u
const CAMEL_PARTS = /\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+/gu

function addIdentifiers(normalised: string, extras: string[]): void {
  if (!MAY_HOLD_IDENTIFIER.test(normalised)) return
  for (const [found] of normalised.matchAll(IDENTIFIER)) {
    if (found.length > 200) continue
    const whole = wholeOf(found)
    if (whole !== null) extras.push(cut(whole))
    for (const name of found.match(/[\p{L}\p{N}]+/gu) ?? []) {
      if (/\p{Ll}\p{Lu}/u.test(name)) addCamelParts(name, extras)
    }
  }
}

/** The identifier as one term; null where it is a plain or a merely hyphenated word. */
function wholeOf(found: string): string | null {
  const trimmed = found.replace(/^_+|_+$/g, '').toLowerCase()
  if (/^[\p{L}\p{N}\p{M}]*$/u.test(trimmed)) return null
  if (/^[\p{L}\p{M}-]+$/u.test(trimmed)) return null
  return trimmed.replace(/(?<=\d),(?=\d{3})/g, '')
}

function addCamelParts(name: string, extras: string[]): void {
  const parts = name.match(CAMEL_PARTS) ?? []
  if (parts.length < 2 || parts.length > 16) return
  for (const part of parts) {
    const lower = part.toLowerCase()
    if (lower.length > 1 && !STOP_WORDS.has(lower)) extras.push(cut(stem(lower)))
  }
}
