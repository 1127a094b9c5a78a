import { isAscii, normalise, WORD_MAX, words } from '@mnemosyne/graph/analysis'

/** Words in a shingle. */
const SHINGLE = 5
/** Texts of which so much of the shingles is common say nearly the same. */
const ALIKE = 0.9

/**
 * A text as the set of its runs of five words (Broder 1997, On the resemblance and containment of documents), hashed,
 * in rising order. Case, punctuation and white space make no difference; a shorter text is one run.
 */
export function shinglesOf(text: string): Uint32Array {
  const hashes = hashesOfWords(text)
  if (hashes.length === 0) {
    const bare = text.replace(/\s+/gu, '')
    return Uint32Array.from(bare === '' ? [] : [hash(bare)])
  }
  const runs = new Uint32Array(Math.max(1, hashes.length - SHINGLE + 1))
  let run = 0
  for (let at = 0; at < hashes.length; at++) {
    run = (Math.imul(run, FACTOR) + hashes[at]!) | 0
    const start = at - SHINGLE + 1
    if (start > 0) run = (run - Math.imul(hashes[start - 1]!, FACTOR_OF_GONE)) | 0
    if (start >= 0) runs[start] = scattered(run)
  }
  if (hashes.length < SHINGLE) runs[0] = scattered(run)
  return distinct(runs.sort())
}

function distinct(sorted: Uint32Array): Uint32Array {
  let count = 0
  for (const value of sorted) {
    if (count === 0 || value !== sorted[count - 1]) sorted[count++] = value
  }
  return sorted.subarray(0, count)
}

/**
 * Finds among texts one whose shingles resemble another's: Jaccard's coefficient of 0.9 or more, exactly.
 * Two such sets of n hashes share one of the first n − ⌈0.9 n⌉ + 1 of each in any common order (Chaudhuri, Ganti and
 * Kaushik 2006, A primitive operator for similarity joins), so that few are compared.
 */
export class NearDuplicates {
  readonly #known: { uid: string; shingles: Uint32Array }[] = []
  readonly #byShingle = new Map<number, number[]>()

  /** The uid of the first added text that says nearly the same. */
  find(shingles: Uint32Array): string | undefined {
    const compared = new Set<number>()
    for (const shingle of beginning(shingles)) {
      for (const index of this.#byShingle.get(shingle) ?? []) compared.add(index)
    }
    const found = [...compared]
      .sort((a, b) => a - b)
      .find((index) => resemblance(this.#known[index]!.shingles, shingles) >= ALIKE)
    return found === undefined ? undefined : this.#known[found]!.uid
  }

  add(uid: string, shingles: Uint32Array): void {
    const index = this.#known.push({ uid, shingles }) - 1
    for (const shingle of beginning(shingles)) {
      const list = this.#byShingle.get(shingle)
      if (list) list.push(index)
      else this.#byShingle.set(shingle, [index])
    }
  }
}

function beginning(shingles: Uint32Array): Uint32Array {
  return shingles.subarray(0, shingles.length - Math.ceil(ALIKE * shingles.length) + 1)
}

/** Jaccard's coefficient of two sets in rising order. */
function resemblance(a: Uint32Array, b: Uint32Array): number {
  let common = 0
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) common++
    const [left, right] = [a[i]!, b[j]!]
    if (left <= right) i++
    if (right <= left) j++
  }
  return common / (a.length + b.length - common)
}

/** Runs are hashed by a polynomial of their words, so that the next comes from the last (Karp and Rabin 1987). */
const FACTOR = 0x01000193
const FACTOR_OF_GONE = power(FACTOR, SHINGLE)
const FNV_START = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** Words hashed by FNV-1a over their UTF-16 units. Of plain text the words are not cut out for it: it is four times as quick. */
function hashesOfWords(text: string): Int32Array {
  return isAscii(text) ? hashesOfAscii(normalise(text)) : Int32Array.from(words(text), hash)
}

function hashesOfAscii(text: string): Int32Array {
  const hashes = new Int32Array((text.length + 1) >> 1)
  let count = 0
  let value = FNV_START
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    const lower = unit >= 0x41 && unit <= 0x5a ? unit | 0x20 : unit
    const isWord = (lower >= 0x61 && lower <= 0x7a) || (lower >= 0x30 && lower <= 0x39)
    if (isWord && length++ < WORD_MAX) value = Math.imul(value ^ lower, FNV_PRIME)
    if (isWord || length === 0) continue
    hashes[count++] = value
    value = FNV_START
    length = 0
  }
  if (length > 0) hashes[count++] = value
  return hashes.subarray(0, count)
}

function power(base: number, exponent: number): number {
  let value = 1
  for (let times = 0; times < exponent; times++) value = Math.imul(value, base)
  return value
}

function hash(word: string): number {
  let value = FNV_START
  for (let index = 0; index < word.length; index++) {
    value = Math.imul(value ^ word.charCodeAt(index), FNV_PRIME)
  }
  return value
}

/** The finaliser of MurmurHash3: the order of what it gives is as good as random. */
function scattered(run: number): number {
  let value = run
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return value ^ (value >>> 16)
}
