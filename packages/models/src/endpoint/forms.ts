import { hash } from 'node:crypto'
import { clipToTokens } from '../clip.ts'
import { instructedPassage, instructedQuery, type ModelFamily } from './model-family.ts'

const SPECIAL_TOKENS = 2

export interface Forms {
  family: ModelFamily
  query(text: string, instruction?: string): string
  passage(text: string, instruction?: string): string
}

/** How queries and passages are written to the model, cut to what it reads. */
export function formsOf(family: ModelFamily, count: (text: string) => number): Forms {
  const { queryPrefix, passagePrefix, instructions, maxTokens } = family
  const write = (text: string, around: (text: string) => string): string => {
    const room = Math.max(1, maxTokens - SPECIAL_TOKENS - count(around('')))
    const clipped = clipToTokens(text, room, count).toWellFormed()
    // Most endpoints refuse an empty text.
    return around(clipped.trim() === '' ? ' ' : clipped)
  }
  return {
    family,
    query: (text, instruction) =>
      instruction && instructions !== 'none'
        ? write(text, (query) => instructedQuery(instruction, query))
        : write(text, (query) => queryPrefix + query),
    passage: (text, instruction) =>
      instruction && instructions === 'both'
        ? write(text, (passage) => instructedPassage(instruction, passage))
        : write(text, (passage) => passagePrefix + passage),
  }
}

/** Where the endpoint stands is left out: the same model elsewhere makes the same vectors. */
export function revisionOf(
  model: string,
  dimensions: number,
  { passagePrefix, instructions }: ModelFamily,
): string {
  const passages = instructions === 'both' ? instructedPassage('', '') : ''
  return hash('sha256', JSON.stringify(['openai', model, dimensions, passagePrefix, passages]))
}
