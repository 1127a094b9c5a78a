import { STOP_WORDS } from './terms.ts'
import { words } from './words.ts'

/** Longest concept, in words. */
export const MAX_CONCEPT_WORDS = 6
/** Words of a query that are looked at for concepts. */
const MAX_QUERY_WORDS = 512
const ARTICLES: ReadonlySet<string> = new Set(['the', 'a', 'an'])

/**
 * The key under which a concept is stored: its words in lower case, without leading articles, joined by one
 * space. Null for what can't be a concept: no words, only stop words, or more than six words.
 */
export function conceptKey(name: string): string | null {
  const kept = words(name.slice(0, 1000))
  while (kept.length > 1 && ARTICLES.has(kept[0]!)) kept.shift()
  if (kept.length > MAX_CONCEPT_WORDS || kept.every((word) => STOP_WORDS.has(word))) return null
  return kept.join(' ')
}

/** The key of the concept that a document's title names: without what stands in parentheses. */
export function titleConceptKey(title: string): string | null {
  return conceptKey(title.slice(0, 1000).replace(/\s*\([^)]*\)/g, ''))
}

/** Distinct keys of every run of up to `maxWords` words of a query: the concepts that it may name. */
export function conceptKeys(text: string, maxWords = MAX_CONCEPT_WORDS): string[] {
  const found = new Set<string>()
  eachKey(words(text.slice(0, 20_000)).slice(0, MAX_QUERY_WORDS), maxWords, (key) => found.add(key))
  return [...found]
}

/** Calls `visit` with the key of every run of up to `maxWords` words, repeats included. */
export function eachKey(list: string[], maxWords: number, visit: (key: string) => void): void {
  for (let start = 0; start < list.length; start++) {
    let key = ''
    let meaning = false
    const end = Math.min(list.length, start + maxWords)
    for (let i = start; i < end; i++) {
      const word = list[i]!
      key = i === start ? word : `${key} ${word}`
      meaning ||= !STOP_WORDS.has(word)
      if (meaning) visit(key)
    }
  }
}
