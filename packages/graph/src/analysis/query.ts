import type { TextQuery } from '../port.ts'
import { analyse } from './terms.ts'

/** Longest query that is looked at, in UTF-16 units. */
const MAX_QUERY = 10_000
const MAX_TERMS = 256
const MAX_PHRASES = 16
/** A quote that stands directly behind or before a Latin letter or a digit opens or closes nothing: it is 5" or a"b. */
const QUOTED = /(?<![\p{Script=Latin}\p{N}])["“”„«»]([^"“”„«»]{1,1000})["“”„«»](?![\p{Script=Latin}\p{N}])/gu

/**
 * Analyses what a person typed. Text in double quotes becomes a phrase that every hit must hold; its words count
 * among the terms too. Nothing else has a meaning: AND, OR, NEAR, `*`, `:`, parentheses are words or nothing.
 * Takes time linear in the first 10,000 characters; the rest is ignored. Nothing to look for gives empty lists.
 */
export function queryTerms(text: string): TextQuery {
  const bounded = text.slice(0, MAX_QUERY)
  const { stream, extras } = analyse(bounded)
  const phrases = quotedPhrases(bounded)
    .map(phraseTerms)
    .filter((phrase) => phrase.length > 0)
  return { terms: [...stream, ...extras].slice(0, MAX_TERMS), phrases: phrases.slice(0, MAX_PHRASES) }
}

/** The texts that stand in double quotes, as they were typed; a quote without its other half is no quote. */
export function quotedPhrases(text: string): string[] {
  return Array.from(text.slice(0, MAX_QUERY).matchAll(QUOTED), ([, quoted]) => quoted!)
}

/** The run of terms that stands for a phrase; a lone term that has no place in the running text stands for itself. */
export function phraseTerms(text: string): string[] {
  const { stream, extras } = analyse(text)
  return stream.length > 0 ? stream : extras.slice(0, 1)
}
