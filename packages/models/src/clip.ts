/** No token of a word-piece model stands for more characters than this; longer words are one unknown token. */
export const CHARACTERS_PER_TOKEN = 100

/** The longest beginning of `text` that `count` takes for at most `tokens` tokens. */
export function clipToTokens(text: string, tokens: number, count: (text: string) => number): string {
  const bounded = text.slice(0, tokens * CHARACTERS_PER_TOKEN)
  // A token is at least one character.
  if (bounded.length <= tokens || count(bounded) <= tokens) return bounded
  let fits = tokens
  let over = bounded.length
  while (over - fits > 1) {
    const middle = (fits + over) >> 1
    if (count(bounded.slice(0, middle)) <= tokens) fits = middle
    else over = middle
  }
  return bounded.slice(0, fits)
}
