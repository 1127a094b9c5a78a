import { type Analysis, analyse } from '../analysis/terms.ts'

/**
 * A chunk as the full-text index has it: its analysed terms between spaces. The title stands twice, so that a plain
 * count of a term is what BM25 counts; `|`, which no term is, stands where a phrase must not run on.
 */
export function termText(title: Analysis, text: Analysis): string {
  const titlePart = part(title)
  const textPart = part(text)
  return titlePart === '' ? textPart : `${titlePart} | ${titlePart} | ${textPart}`
}

const BREAK = '|'

function part({ stream, extras }: Analysis): string {
  return extras.length === 0 ? stream.join(' ') : `${stream.join(' ')} | ${extras.join(' ')}`
}

/** The terms in the order of the text, repeats kept, in stretches that no phrase reaches across. */
export function runsOf(stored: string): string[][] {
  return stored.split(` ${BREAK} `).map((run) => run.split(' ').filter((term) => term !== ''))
}

/** For many texts under one title. */
export function termTextsUnder(title: string): (text: string) => string {
  const analysed = analyse(title)
  return (text) => termText(analysed, analyse(text))
}

// What follows makes queries for Lucene. Inside double quotes only `"` and `\` have a meaning to its parser.

const quoted = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`

/** Longest word that the index holds whole. */
const LONGEST = 255
const isWord = (term: string) => term !== '' && term.length <= LONGEST && !/\s/u.test(term) && term !== BREAK

/** How a library and a collection stand in `Chunk.scope`. */
export function scopeWords(library: string, collection: string | null): string {
  const words = [libraryWord(library)]
  if (collection !== null) words.push(collectionWord(collection))
  return words.join(' ')
}

const libraryWord = (uid: string) => `l:${encodeURIComponent(uid.toWellFormed())}`
const collectionWord = (uid: string) => `c:${encodeURIComponent(uid.toWellFormed())}`

/** A clause that narrows to libraries (`null`: all) and a collection; it takes no part in the ranking. */
export function scopeClauses(libraries: string[] | null, collection: string | null): string[] {
  const clauses: string[] = []
  if (libraries) clauses.push(`+scope:(${libraries.map((uid) => quoted(libraryWord(uid))).join(' ')})^0`)
  if (collection !== null) clauses.push(`+scope:${quoted(collectionWord(collection))}^0`)
  return clauses
}

/** A clause that wants any of the terms; null when no chunk can hold one. */
export function termsClause(terms: { term: string; times: number }[]): string | null {
  const wanted = terms.filter(({ term }) => isWord(term))
  if (wanted.length === 0) return null
  return `+terms:(${wanted.map(({ term, times }) => `${quoted(term)}^${times}`).join(' ')})`
}

/** A clause that wants the terms next to each other; null when no chunk can hold them. */
export function phraseClause(phrase: string[]): string | null {
  return phrase.length > 0 && phrase.every(isWord) ? `+terms:${quoted(phrase.join(' '))}` : null
}
