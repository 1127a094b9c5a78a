import { phraseTerms, quotedPhrases, terms, words } from '@mnemosyne/graph/analysis'
import type { Nominations } from './nominate.ts'
import type { Parts } from './parts.ts'
import type { Passages } from './passages.ts'
import { createPauses } from './pauses.ts'

/** What a passage shows of itself to a phrase. */
interface Titled {
  item_title: string
  text: string
}

/** 2: holds every phrase to the letter. 1: holds its words side by side, in any form of theirs. 0: neither. */
export type Exactness = 0 | 1 | 2

/** A phrase in quotes, as it was typed and as full text looks for it. */
interface Phrase {
  typed: string
  run: string[]
}

/** Phrases of a query that are looked at, as many as full text looks for; what else is quoted is words. */
const PHRASES_MAX = 16

export function phrasesOf(query: string): Phrase[] {
  const typed = new Set(quotedPhrases(query).map((quoted) => quoted.trim()))
  typed.delete('')
  return [...typed].slice(0, PHRASES_MAX).map((phrase) => ({ typed: phrase, run: phraseTerms(phrase) }))
}

/**
 * How exactly candidates hold all phrases in quotes; those that do not are left out. Where full text has said which
 * passages hold them, no other is looked at.
 */
export async function exactnessOf(
  parts: Parts,
  passages: Passages,
  query: string,
  ranked: string[],
  { holding }: Nominations,
): Promise<Map<string, Exactness>> {
  const phrases = phrasesOf(query)
  if (phrases.length === 0 || holding?.size === 0) return new Map()
  const inQuestion = holding ? ranked.filter((uid) => holding.has(uid)) : ranked
  const exactness = new Map<string, Exactness>(inQuestion.map((uid) => [uid, holding ? 1 : 0]))
  const loaded = await parts.attempt('load', (signal) => passages.load(inQuestion, { signal }))
  const pause = createPauses()
  for (const passage of loaded ?? []) {
    await pause()
    const least = exactness.get(passage.chunk_uid)!
    exactness.set(passage.chunk_uid, holdsAll(passage, phrases, least))
  }
  return new Map([...exactness].filter(([, exact]) => exact > 0))
}

/**
 * The same order with the more exact first, where the query demands its phrases; where it only names something by
 * them, with the first of the most exact ones first.
 */
export function exactFirst(order: string[], exactness: Map<string, Exactness>, isDemand: boolean): string[] {
  if (exactness.size === 0) return order
  const sorted = order.toSorted((a, b) => (exactness.get(b) ?? 0) - (exactness.get(a) ?? 0))
  return isDemand ? sorted : [sorted[0]!, ...order.filter((uid) => uid !== sorted[0])]
}

/**
 * Whether what stands in quotes is what the query is about: no more words stand outside of them, not counting those
 * without a meaning. In a longer question quotes often only name something, and the answer may stand where the name
 * does not: to put all that hold it first cost 0.05 nDCG@10 on such questions, to put the best of them first nothing.
 */
export function demandsPhrases(query: string): boolean {
  const quoted = quotedPhrases(query).slice(0, PHRASES_MAX)
  const inside = quoted.map((typed) => phraseTerms(typed).length || words(typed).length)
  const outside = terms(without(query, quoted))
  return quoted.length > 0 && outside.length <= inside.reduce((sum, count) => sum + count, 0)
}

/** The text without these parts of it, which stand in it in this order. */
function without(text: string, parts: string[]): string {
  let rest = ''
  let at = 0
  for (const part of parts) {
    const start = text.indexOf(part, at)
    rest += `${text.slice(at, start)} `
    at = start + part.length
  }
  return rest + text.slice(at)
}

/** `least` is what is known already, and spares the analysis. */
function holdsAll(passage: Titled, phrases: Phrase[], least: Exactness): Exactness {
  if (holdLetters(passage, phrases)) return 2
  if (least > 0) return least
  const [title, text] = [terms(passage.item_title), terms(passage.text)]
  return phrases.every(({ run }) => holdsRun(title, run) || holdsRun(text, run)) ? 1 : 0
}

/** Whether title or text hold each phrase but for case and white space, and not as a part of a longer word. */
function holdLetters({ item_title, text }: Titled, phrases: Phrase[]): boolean {
  const held = [folded(item_title), folded(text)]
  return phrases.every(({ typed }) => {
    const wanted = folded(typed)
    return held.some((one) => standsIn(one, wanted))
  })
}

const JOINS = /[\p{L}\p{N}\p{M}_]/u

function standsIn(held: string, wanted: string): boolean {
  const [first, last] = [JOINS.test(wanted.charAt(0)), JOINS.test(wanted.at(-1)!)]
  for (let at = held.indexOf(wanted); at >= 0; at = held.indexOf(wanted, at + 1)) {
    const before = held.charAt(at - 1)
    const after = held.charAt(at + wanted.length)
    if (!(first && isSpacedLetter(before)) && !(last && isSpacedLetter(after))) return true
  }
  return false
}

const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u

function isSpacedLetter(character: string): boolean {
  return JOINS.test(character) && !UNSPACED.test(character)
}

function folded(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/[\s\u00ad]+/gu, ' ')
    .replace(/[‘’]/g, "'")
    .replace(/[‐‑–—]/g, '-')
    .toLowerCase()
}

/** Whether `all` holds `run` in one piece. */
export function holdsRun(all: string[], run: string[]): boolean {
  return run.length > 0 && all.some((_, start) => run.every((term, offset) => all[start + offset] === term))
}
