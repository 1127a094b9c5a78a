/**
 * Fusion of the vector and the full-text retriever by score.
 *
 * F = 0.8·z(cosine) + 2.0·BM25 / max(BM25)
 *
 * The cosine is standardised over the whole scope, not over the hits, so that a query to which nothing is
 * close gets no false distinctions. BM25 is divided by its best, because its spread grows with the size of the
 * store. Weights were tuned on six public collections; reciprocal rank fusion (Cormack, Clarke and Büttcher,
 * SIGIR 2009) loses to the vectors alone on two of them and stays selectable.
 */

const VECTOR_WEIGHT = 0.8
const FULLTEXT_WEIGHT = 2

/** Mean and standard deviation of the cosine over a scope. */
export interface Spread {
  mean: number
  deviation: number
}

/** Points for a cosine; 0 where there is none or where all passages are alike. */
export function vectorPoints(cosine: number | null, { mean, deviation }: Spread): number {
  return cosine === null || deviation === 0 ? 0 : (VECTOR_WEIGHT * (cosine - mean)) / deviation
}

/** Points for a BM25 score, given the best of the scope. */
export function fulltextPoints(bm25: number, best: number): number {
  return best > 0 ? (FULLTEXT_WEIGHT * bm25) / best : 0
}

/** 1 / (k + rank) for each uid of a ranked list, ranks from 1. */
export function reciprocalRanks(ranked: string[], k: number): Map<string, number> {
  return new Map(ranked.map((uid, index) => [uid, 1 / (k + index + 1)]))
}

/** Uids by falling score, ties by uid, so that the same question always gets the same answer. */
export function rankByScore(scores: Map<string, number>): string[] {
  return [...scores].sort(([uidA, a], [uidB, b]) => b - a || (uidA < uidB ? -1 : 1)).map(([uid]) => uid)
}
