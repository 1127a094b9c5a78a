/** A model's own tokenizer, synchronous: for counting inside a worker or child process. */
export interface TextTokenizer {
  /** Tokens of the text without special tokens; nothing is cut. */
  count(text: string): number
  /** Token ids with special tokens, cut at `maxTokens`. */
  encode(text: string, maxTokens: number): number[]
}

/** Reads `tokenizer.json` (or `*-tokenizer.json`) of a model folder. Throws `ModelUnusable`. */
export function openTokenizer(_modelDir: string): TextTokenizer {
  throw new Error('not implemented')
}
