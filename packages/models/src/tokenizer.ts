import { readFileSync, statSync } from 'node:fs'
import { Tokenizer } from '@huggingface/tokenizers'
import { findTokenizer } from './model-folder.ts'
import { ModelUnusable } from './port.ts'

/** A model's own tokenizer, synchronous: for counting inside a worker or child process. */
export interface TextTokenizer {
  /** Tokens of the text without special tokens; nothing is cut. Linear in the text's length. */
  count(text: string): number
  /** Token ids with special tokens. Longer text is cut; the last token stays the closing special one. */
  encode(text: string, maxTokens: number): number[]
}

/** Reads the tokenizer of a model folder (`tokenizer.json` or `*-tokenizer.json`). Throws `ModelUnusable`. */
export function openTokenizer(modelDir: string): TextTokenizer {
  return loadTokenizer(findTokenizer(modelDir))
}

const LARGEST_TOKENIZER = 64 << 20

/** As `openTokenizer`, from the file itself. */
export function loadTokenizer(file: string): TextTokenizer {
  const tokenizer = parseTokenizer(file)
  return {
    count: (text) => tokenizer.tokenize(text, { add_special_tokens: false }).length,
    encode(text, maxTokens) {
      const { ids } = tokenizer.encode(text)
      return ids.length <= maxTokens ? ids : [...ids.slice(0, maxTokens - 1), ids.at(-1)!]
    },
  }
}

function parseTokenizer(file: string): Tokenizer {
  if (statSync(file).size > LARGEST_TOKENIZER)
    throw new ModelUnusable(`${file} is too large for a tokenizer.`)
  try {
    const json = JSON.parse(readFileSync(file, 'utf8'))
    // Exports differ in the length they cut and pad to; the model's own limit is applied instead.
    return new Tokenizer({ ...json, truncation: null, padding: null }, {})
  } catch (cause) {
    throw new ModelUnusable(`${file} is not a tokenizer that can be read.`, { cause })
  }
}
