import type { ConceptInScope } from '@mnemosyne/graph'

const PHRASE_FACTOR = 0.75
/** Little: full text has counted the words of the concept. More of it cost 0.005 nDCG@10 on three collections of five. */
const NAMED_CONCEPT = 0.02
const NAMED_TITLE = 0.5

/** Most chunks of a scope that may mention a concept for it to tell them apart. */
export const LINKABLE_MAX = 200

/**
 * Whether a concept that `df` of `scopeSize` chunks mention links them: at least two, and no more than 3 % of
 * the scope (10 in a small one, 200 in any).
 */
export function isLinkable(df: number, scopeSize: number): boolean {
  return df >= 2 && df <= Math.min(LINKABLE_MAX, Math.max(10, 0.03 * scopeSize))
}

/**
 * Weight of a concept: ln(1 + N/df) / ln(1 + N/2), the inverse document frequency scaled so that a concept of
 * two chunks weighs 1; three quarters of it for a key phrase, which is weaker evidence than a name.
 */
export function conceptWeight({ df, kind }: Pick<ConceptInScope, 'df' | 'kind'>, scopeSize: number): number {
  const weight = Math.log(1 + scopeSize / df) / Math.log(1 + scopeSize / 2)
  return kind === 'phrase' ? PHRASE_FACTOR * weight : weight
}

/** Points of a chunk that mentions a concept of the query: its heaviest counts, and a title counts on top. */
export function namedConceptPoints(weights: number[], titleIsNamed: boolean): number {
  return (weights.length === 0 ? 0 : NAMED_CONCEPT * Math.max(...weights)) + (titleIsNamed ? NAMED_TITLE : 0)
}
