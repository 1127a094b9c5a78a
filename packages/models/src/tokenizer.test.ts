import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { modelForSuite } from './testing/test-model.ts'
import { openTokenizer } from './tokenizer.ts'

const dir = await modelForSuite('a tokenizer')

test.runIf(dir).each([
  ['plain words', 'The pump loses its prime.'],
  ['white space of all kinds', '  a\tb\r\nc   d\u00a0e\u2003f '],
  ['punctuation and numbers', 'E-07: 12.5 bar (max.), see §4!'],
  ['other scripts', 'Ärger über 日本語 и русский текст مرحبا'],
  ['what is no text', '\u0000\u200b\ufeff \ud800 \u202e 👩‍👩‍👧'],
  ['a word without end', 'x'.repeat(5_000)],
  ['nothing', ''],
  ['a document', readFileSync(new URL('../README.md', import.meta.url), 'utf8')],
])('counts the tokens that it would make of %s', (_, text) => {
  const tokenizer = openTokenizer(dir!)
  expect(tokenizer.count(text)).toBe(tokenizer.encode(text, 1_000_000).length - 2)
  expect(tokenizer.count(text)).toBe(tokenizer.encode(text, 1_000_000).length - 2)
})
