/**
 * Fusion of the vector and the full-text retriever by score.
 *
 * F = 3.2 · s/s₀ · min(1, s₁/s₀) + 2 · BM25 / max(BM25₁, 0.8 · ideal)
 *
 * s = (cosine − μ) / (1 − μ) is how far a passage has come from the mean of the scope towards the query, 1 being the
 * query itself; s₁ is that of the nearest, and s₀ = 0.44. Where nothing comes that far the vectors tell passages apart
 * by less than they err, and count less. BM25 is divided by its best, because its spread grows with the size of the
 * store, but by no less than 0.8 of what a passage gets that holds every word of the query once: where all that is in
 * the scope holds them but weakly, the best of the weak is not the answer.
 *
 * The constants were chosen on six public collections, as published, in small scopes and with several subjects in a
 * passage; neighbouring values do as well (docs/search.md). Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR
 * 2009) loses to the vectors alone on two of them and stays selectable.
 */

const VECTOR_WEIGHT = 3.2
const NEAR = 0.44
const FULLTEXT_WEIGHT = 2
const LEAST_OF_IDEAL = 0.8

/** Of the cosines of a scope the mean, and the highest. */
export interface Spread {
  mean: number
  best: number
}

/** Points for a cosine; 0 where there is none or where all passages are alike. */
export function vectorPoints(cosine: number | null, { mean, best }: Spread): number {
  if (cosine === null || best <= mean || mean >= 1) return 0
  const nearness = (value: number) => (value - mean) / (1 - mean) / NEAR
  return VECTOR_WEIGHT * nearness(cosine) * Math.min(1, nearness(best))
}

/** The BM25 that gets all the points: the best of the scope, and no less than most of the ideal. */
export function fullMark({ bm25, ideal }: { bm25: number; ideal: number }): number {
  return Math.max(bm25, LEAST_OF_IDEAL * ideal)
}

/** Points for a BM25 score, given that which gets them all. */
export function fulltextPoints(bm25: number, full: number): number {
  return full > 0 ? (FULLTEXT_WEIGHT * bm25) / full : 0
}

/** 1 / (k + rank) for each uid of a ranked list, ranks from 1. */
export function reciprocalRanks(ranked: string[], k: number): Map<string, number> {
  return new Map(ranked.map((uid, index) => [uid, 1 / (k + index + 1)]))
}

/** Uids by falling score, ties by uid, so that the same question always gets the same answer. */
export function rankByScore(scores: Map<string, number>): string[] {
  return [...scores].sort(([uidA, a], [uidB, b]) => b - a || (uidA < uidB ? -1 : 1)).map(([uid]) => uid)
}
