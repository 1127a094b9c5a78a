import { createHash } from 'node:crypto'
import { eachKey, MAX_CONCEPT_WORDS } from './analysis/concept-keys.ts'
import { isAscii, normalise, words } from './analysis/words.ts'
import type { ConceptKind } from './port.ts'

/** Chunks of the store that a new concept is linked to, at most. */
export const MAX_BACK_LINKS = 1_000
/** Words of a chunk that are looked at for concepts. */
const MAX_WORDS = 50_000
/** Chunks whose text is kept while the new concepts of one item are linked back. */
export const TEXTS_KEPT = 5_000
export const STRENGTH: Record<ConceptKind, number> = { phrase: 0, named: 1, title: 2 }

/** Keys that a text may name of those in the filter; some of them are of no concept. */
export function keysIn(text: string, known: KeyFilter): Set<string> {
  const found = new Set<string>()
  eachKey(words(text).slice(0, MAX_WORDS), MAX_CONCEPT_WORDS, (key) => {
    if (known.mayHold(key)) found.add(key)
  })
  return found
}

/** A chunk's title and text, made ready for the two ways of looking for a name as far as they are used. */
export class ChunkText {
  readonly #parts: string[]
  #ascii: string | null | undefined
  #spelling: string | undefined

  constructor(...parts: string[]) {
    this.#parts = parts
  }

  /** In lower case, without clitics; null when there is more in it than ASCII. */
  get ascii(): string | null {
    if (this.#ascii === undefined) {
      const joined = this.#parts.map(normalise).join(' \0 ').toLowerCase()
      this.#ascii = isAscii(joined) ? joined : null
    }
    return this.#ascii
  }

  /** Words between single spaces, the parts apart. */
  get spelling(): string {
    this.#spelling ??= this.#parts.map((part) => ` ${words(part).slice(0, MAX_WORDS).join(' ')} `).join('\n')
    return this.#spelling
  }
}

/**
 * Whether a chunk names the key. Most text is ASCII, where a pattern finds the words twenty times as fast as taking
 * the text apart.
 */
export function namesKey(key: string): (text: ChunkText) => boolean {
  if (!/^[a-z0-9 ]{1,60}$/.test(key)) return (text) => text.spelling.includes(` ${key} `)
  const pattern = new RegExp(`(?<![a-z0-9])${key.replaceAll(' ', '[^a-z0-9\\0]+')}(?![a-z0-9])`)
  return (text) => (text.ascii === null ? text.spelling.includes(` ${key} `) : pattern.test(text.ascii))
}

/** Uid of a concept: the same in every store, as the key is. Knowing it opens nothing; the scope does. */
export function conceptUid(key: string): string {
  const hex = createHash('sha256').update(`concept\n${key}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/**
 * Says of most runs of words at once that no concept has that key (a Bloom filter of 4 MB with two hashes): a page has
 * some thousand runs, of which few are concepts. Deleted keys stay in it until the store is opened again.
 */
export class KeyFilter {
  readonly #bits = new Uint8Array(1 << 22)

  add(key: string): void {
    for (const bit of this.#positions(key)) this.#bits[bit >>> 3]! |= 1 << (bit & 7)
  }

  mayHold(key: string): boolean {
    const [first, second] = this.#positions(key)
    return (
      (this.#bits[first >>> 3]! & (1 << (first & 7))) !== 0 &&
      (this.#bits[second >>> 3]! & (1 << (second & 7))) !== 0
    )
  }

  /** FNV-1a, and a second hash mixed from it. */
  #positions(key: string): [number, number] {
    let hash = 0x811c9dc5
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
    let second = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    second ^= second >>> 13
    return [hash >>> 7, Math.imul(second, 0xc2b2ae35) >>> 7]
  }
}
