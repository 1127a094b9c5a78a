/** Means over the queries of a collection, or the figures of one. */
export interface Quality {
  ndcg10: number
  recall5: number
  recall50: number
  mrr10: number
}

/** Järvelin and Kekäläinen's nDCG with linear gain, recall over all relevant, and reciprocal rank. */
export function judge(ranked: string[], relevant: Map<string, number>): Quality {
  const gain = (grades: number[]) =>
    grades.reduce((sum, grade, index) => sum + grade / Math.log2(index + 2), 0)
  const ideal = [...relevant.values()].sort((a, b) => b - a).slice(0, 10)
  const recall = (depth: number) =>
    ranked.slice(0, depth).filter((id) => relevant.has(id)).length / relevant.size
  const first = ranked.slice(0, 10).findIndex((id) => relevant.has(id))
  return {
    ndcg10: gain(ranked.slice(0, 10).map((id) => relevant.get(id) ?? 0)) / gain(ideal),
    recall5: recall(5),
    recall50: recall(50),
    mrr10: first === -1 ? 0 : 1 / (first + 1),
  }
}

export function meanOf(results: readonly Quality[]): Quality {
  const mean = (of: keyof Quality) => results.reduce((sum, result) => sum + result[of], 0) / results.length
  return {
    ndcg10: mean('ndcg10'),
    recall5: mean('recall5'),
    recall50: mean('recall50'),
    mrr10: mean('mrr10'),
  }
}
