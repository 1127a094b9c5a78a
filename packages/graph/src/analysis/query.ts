import type { TextQuery } from '../port.ts'

export function queryTerms(_text: string): TextQuery {
  throw new Error('not written yet')
}
