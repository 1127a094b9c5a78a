const K1 = 0.9
const B = 0.4
const MAX_TERMS = 64
/** Of the mean idf of its two terms, what a pair weighs that stands as in the query, and one that stands close by. */
const ADJACENT_WEIGHT = 0.5
const CLOSE_WEIGHT = 0.15
/** Terms within so many are close by. */
const WINDOW = 8

/** Pairs count only in what is among so many times as many of the best by single terms as are wanted, or so many. */
const SPARE = 5
const SCORED_AT_LEAST = 150

/** How many of the best by single terms are scored with pairs to find the `k` best. */
export function scoredFor(k: number): number {
  return Math.max(k * SPARE, SCORED_AT_LEAST)
}

export interface QueryTerm<T> {
  term: T
  /** How often the query holds it. */
  times: number
  idf: number
}

/** What BM25 needs of a query and of the store; `T` is how the store knows a term. */
export interface Bm25Query<T> {
  /** Rarest first, at most 64. */
  terms: QueryTerm<T>[]
  /** Pairs of terms that stand side by side in the query, in its order; see `pairKey`. */
  adjacent: ReadonlySet<number>
  /** Of all chunks in terms, those of the title twice. */
  averageLength: number
}

/**
 * The distinct terms of a query that the store knows, by rising document frequency, of too many the rarest, with the
 * idf of Lucene; and which of them stand side by side.
 */
export function bm25Query<T>(
  asked: readonly string[],
  known: ReadonlyMap<string, { term: T; df: number }>,
  store: { chunks: number; length: number },
): Bm25Query<T> {
  const repeats = new Map<string, number>()
  for (const term of asked) if (known.has(term)) repeats.set(term, (repeats.get(term) ?? 0) + 1)
  const kept = [...repeats].sort(([a], [b]) => known.get(a)!.df - known.get(b)!.df).slice(0, MAX_TERMS)
  const indexOf = new Map(kept.map(([term], index) => [term, index]))
  const adjacent = new Set<number>()
  for (const [at, term] of asked.entries()) {
    const [first, second] = [indexOf.get(asked[at - 1] ?? ''), indexOf.get(term)]
    if (first !== undefined && second !== undefined && first !== second) adjacent.add(pairKey(first, second))
  }
  return {
    terms: kept.map(([asked, times]) => {
      const { term, df } = known.get(asked)!
      return { term, times, idf: Math.log(1 + (store.chunks - df + 0.5) / (df + 0.5)) }
    }),
    adjacent,
    averageLength: store.length / Math.max(store.chunks, 1),
  }
}

/** Where a term of the query stands in a text. */
export interface TermPlace {
  /** So many terms stand before it. */
  at: number
  /** Its place among the terms of the query. */
  index: number
}

/**
 * What a chunk of average length gets that holds every term of the query once and no two together: Σ times · idf. It
 * depends on the query and the store alone, and so tells whether what a scope holds is much or little.
 */
export function idealPoints<T>({ terms }: Bm25Query<T>): number {
  return terms.reduce((sum, { times, idf }) => sum + times * idf, 0)
}

const pairKey = (first: number, second: number) => first * MAX_TERMS + second

/** What a chunk of this length gets for holding something of this weight `count` times (Robertson and Walker 1994). */
export function bm25Points(weight: number, count: number, length: number, averageLength: number): number {
  return (weight * count * (K1 + 1)) / (count + K1 * (1 - B + (B * length) / averageLength))
}

/**
 * What a chunk gets on top for terms of the query that stand together: those that stand side by side in the query and
 * in its order here, and any two within a window of eight. These are the pairs of the full dependence model (Metzler
 * and Croft 2005, A Markov random field model for term dependencies), each scored as one more term. In how many chunks
 * a pair stands is not counted anywhere, so its terms say what it weighs (as in Rasolofo and Savoy 2003, Term proximity
 * scoring for keyword-based retrieval systems).
 *
 * `runs` tell where terms of the query stand in stretches of text that no pair reaches across, those of the title twice.
 */
export function pairPoints<T>(
  { terms, adjacent, averageLength }: Bm25Query<T>,
  runs: Iterable<TermPlace[]>,
  length: number,
): number {
  const together = new Map<number, number>()
  const inOrder = new Map<number, number>()
  for (const run of runs) {
    for (const [end, { at, index }] of run.entries()) {
      for (let n = end - 1; n >= 0 && at - run[n]!.at < WINDOW; n--) {
        const other = run[n]!
        if (other.index === index) continue
        count(together, pairKey(Math.min(index, other.index), Math.max(index, other.index)))
        const key = pairKey(other.index, index)
        if (other.at === at - 1 && adjacent.has(key)) count(inOrder, key)
      }
    }
  }
  const pointsOf = (counts: Map<number, number>, weight: number) => {
    let points = 0
    for (const [key, times] of counts) {
      const [first, second] = [terms[Math.floor(key / MAX_TERMS)]!, terms[key % MAX_TERMS]!]
      points += bm25Points((weight * (first.idf + second.idf)) / 2, times, length, averageLength)
    }
    return points
  }
  return pointsOf(inOrder, ADJACENT_WEIGHT) + pointsOf(together, CLOSE_WEIGHT)
}

function count(counts: Map<number, number>, key: number): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
