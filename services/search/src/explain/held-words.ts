import { terms } from '@mnemosyne/graph'
import { holdsRun, phrasesOf } from '../phrases.ts'

/** Words that a note names; a longer query has more. */
const NAMED = 8
const WORD = /[\p{L}\p{N}\p{M}_]+(?:['’.:+#-]+[\p{L}\p{N}\p{M}_]+)*[+#]*/gu

/** Which of the words that full text looks for a passage holds, as the query spells them. */
export interface HeldWords {
  held: string[]
  missing: string[]
  /** Phrases in quotes that do not stand in it. */
  missingPhrases: string[]
}

/** Words are held in any form of theirs, in the text or the title; words without a meaning of their own are left out. */
export function heldWords(
  query: string,
  { item_title, text }: { item_title: string; text: string },
): HeldWords {
  const title = terms(item_title)
  const body = terms(text)
  const present = new Set([...title, ...body])
  const held = new Set<string>()
  const missing = new Set<string>()
  for (const [word] of query.toWellFormed().matchAll(WORD)) {
    const wanted = terms(word)
    if (wanted.length === 0) continue
    if (wanted.some((term) => present.has(term))) held.add(word.toLowerCase())
    else missing.add(word.toLowerCase())
  }
  const missingPhrases = phrasesOf(query).flatMap(({ typed, run }) =>
    run.length === 0 || holdsRun(title, run) || holdsRun(body, run) ? [] : [typed],
  )
  return { held: [...held], missing: [...missing], missingPhrases }
}

/** For a sentence: `pump, prime and 3 more`. */
export function listed(words: string[]): string {
  const more = words.length - NAMED
  return words.slice(0, NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
