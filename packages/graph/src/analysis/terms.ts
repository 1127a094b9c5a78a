/** Stop words of the index and of queries: articles, pronouns, auxiliaries, question words. */
export const STOP_WORDS: ReadonlySet<string> = new Set()
export function words(_text: string): string[] {
  throw new Error('not written yet')
}
export function terms(_text: string): string[] {
  throw new Error('not written yet')
}
