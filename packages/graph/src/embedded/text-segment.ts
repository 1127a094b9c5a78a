import type { ChunkRow } from './library-copies.ts'
import { BREAK, lengthOf, sequenceOf, type TermSequence } from './term-ledger.ts'

/** How often a chunk holds a term is kept in 16 bits; beyond, BM25 hardly moves. */
const MOST = 0xffff
const GONE = -1

/** Where the postings of a term lie: from `start` to before `end`. */
export type Postings = readonly [start: number, end: number]

interface Columns {
  chunks: Float64Array
  collections: Float64Array
  lengths: Uint32Array
  terms: Uint32Array
  starts: Uint32Array
  rows: Uint32Array
  counts: Uint16Array
  sequences: TermSequence[]
}

/**
 * An inverted index over some chunks of a library, in a few arrays: 6 bytes a posting, 4 a term of the text, and about
 * 150 a chunk. Chunks can be taken out but not put in: `merged` makes one segment of several.
 */
export class TextSegment {
  /** Row id of each chunk. */
  readonly chunks: Float64Array
  /** Row id of each chunk's collection; -1: in none. */
  readonly collections: Float64Array
  /** Length of each chunk for BM25. */
  readonly lengths: Uint32Array
  /** By term, ascending: the rows that hold it. */
  readonly rows: Uint32Array
  /** And how often, the title twice. */
  readonly counts: Uint16Array
  /** The terms of each chunk in the order of the text. */
  readonly sequences: readonly TermSequence[]
  /** Numbers of the terms, ascending. The postings of the i-th begin at `#starts[i]` and end at `#starts[i + 1]`. */
  readonly #terms: Uint32Array
  readonly #starts: Uint32Array
  readonly #rowOf: Map<number, number>

  private constructor({ chunks, collections, lengths, terms, starts, rows, counts, sequences }: Columns) {
    this.chunks = chunks
    this.collections = collections
    this.lengths = lengths
    this.rows = rows
    this.counts = counts
    this.sequences = sequences
    this.#terms = terms
    this.#starts = starts
    this.#rowOf = new Map()
    for (const [row, chunk] of chunks.entries()) this.#rowOf.set(chunk, row)
  }

  static of(found: ChunkRow[]): TextSegment {
    const sequences = found.map(({ data }) => sequenceOf(data))
    const { terms, starts, next } = countPostings(sequences)
    const rows = new Uint32Array(starts.at(-1)!)
    const counts = new Uint16Array(rows.length)
    const lastRow = new Int32Array(next.length).fill(GONE)
    for (const [row, sequence] of sequences.entries()) {
      const titleEnd = 1 + sequence[0]!
      for (let i = 1; i < sequence.length; i++) {
        const term = sequence[i]!
        if (term === BREAK) continue
        if (lastRow[term] !== row) {
          lastRow[term] = row
          rows[next[term]!++] = row
        }
        const at = next[term]! - 1
        counts[at] = Math.min(MOST, counts[at]! + (i < titleEnd ? 2 : 1))
      }
    }
    return new TextSegment({
      chunks: Float64Array.from(found, ({ chunk }) => chunk),
      collections: Float64Array.from(found, ({ collection }) => collection ?? -1),
      lengths: Uint32Array.from(sequences, lengthOf),
      terms,
      starts,
      rows,
      counts,
      // With as many bytes of its own as it needs: what was read may be a part of something larger.
      sequences: sequences.map((sequence) => sequence.slice()),
    })
  }

  /** What is left of them, as one. */
  static merged(segments: TextSegment[]): TextSegment {
    const parts = segments.map((segment) => ({
      segment,
      at: 0,
      renumbered: new Int32Array(segment.chunks.length),
    }))
    const size = segments.reduce((sum, segment) => sum + segment.size, 0)
    const [chunks, collections] = [new Float64Array(size), new Float64Array(size)]
    const lengths = new Uint32Array(size)
    const sequences: TermSequence[] = []
    let kept = 0
    for (const { segment, renumbered } of parts) {
      renumbered.fill(GONE)
      for (const [chunk, row] of segment.#rowOf) {
        chunks[kept] = chunk
        collections[kept] = segment.collections[row]!
        lengths[kept] = segment.lengths[row]!
        sequences.push(segment.sequences[row]!)
        renumbered[row] = kept++
      }
    }
    const [terms, starts]: [number[], number[]] = [[], []]
    const rows = new Uint32Array(segments.reduce((sum, segment) => sum + segment.rows.length, 0))
    const counts = new Uint16Array(rows.length)
    let filled = 0
    for (;;) {
      const term = Math.min(...parts.map(({ segment, at }) => segment.#terms[at] ?? Number.POSITIVE_INFINITY))
      if (term === Number.POSITIVE_INFINITY) break
      const start = filled
      for (const part of parts) {
        const { segment, renumbered } = part
        if (segment.#terms[part.at] !== term) continue
        const end = segment.#starts[part.at + 1]!
        for (let i = segment.#starts[part.at]!; i < end; i++) {
          const row = renumbered[segment.rows[i]!]!
          if (row === GONE) continue
          rows[filled] = row
          counts[filled++] = segment.counts[i]!
        }
        part.at++
      }
      if (filled === start) continue
      terms.push(term)
      starts.push(start)
    }
    return new TextSegment({
      chunks,
      collections,
      lengths,
      terms: Uint32Array.from(terms),
      starts: Uint32Array.from([...starts, filled]),
      rows: rows.slice(0, filled),
      counts: counts.slice(0, filled),
      sequences,
    })
  }

  /** Chunks that were not taken out. */
  get size(): number {
    return this.#rowOf.size
  }

  has(chunk: number): boolean {
    return this.#rowOf.has(chunk)
  }

  rowOf(chunk: number): number | undefined {
    return this.#rowOf.get(chunk)
  }

  remove(chunk: number): void {
    this.#rowOf.delete(chunk)
  }

  postingsOf(term: number): Postings {
    const at = find(this.#terms, term, [0, this.#terms.length])
    return at === -1 ? [0, 0] : [this.#starts[at]!, this.#starts[at + 1]!]
  }

  /** How often the row holds the term with these postings. */
  countIn(row: number, postings: Postings): number {
    const at = find(this.rows, row, postings)
    return at === -1 ? 0 : this.counts[at]!
  }
}

/** The terms, where the postings of each start, and the same by term: where its next one goes. */
function countPostings(sequences: Uint32Array[]): {
  terms: Uint32Array
  starts: Uint32Array
  next: Uint32Array
} {
  const highest = sequences.reduce((most, sequence) => Math.max(most, highestTerm(sequence)), 0)
  const next = new Uint32Array(highest + 1)
  const lastRow = new Int32Array(next.length).fill(GONE)
  for (const [row, sequence] of sequences.entries()) {
    for (let i = 1; i < sequence.length; i++) {
      const term = sequence[i]!
      if (term === BREAK || lastRow[term] === row) continue
      lastRow[term] = row
      next[term]!++
    }
  }
  const terms: number[] = []
  const starts: number[] = []
  let total = 0
  for (const [term, count] of next.entries()) {
    if (count === 0) continue
    terms.push(term)
    starts.push(total)
    next[term] = total
    total += count
  }
  return { terms: Uint32Array.from(terms), starts: Uint32Array.from([...starts, total]), next }
}

function highestTerm(sequence: Uint32Array): number {
  let highest = BREAK
  for (let i = 1; i < sequence.length; i++) highest = Math.max(highest, sequence[i]!)
  return highest
}

/** Where `value` stands in an ascending stretch; -1: nowhere. */
function find(values: Uint32Array, value: number, [start, end]: Postings): number {
  let low = start
  let high = end
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! < value) low = middle + 1
    else high = middle
  }
  return low < end && values[low] === value ? low : -1
}
