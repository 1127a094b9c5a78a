/**
 * Links between passages: what a passage gains from standing next to one of the best.
 *
 * The first six passages by fused score are seeds, each with ω = exp(F − F of the first). A passage n gains
 * 1.75 · max over seeds of ω · link(seed, n), where the link is the weight of the heaviest concept that both
 * mention and the query does not name, and 0.8 more if the seed mentions what n's document is called. A seed
 * has a link of 1.4 to itself: the gate that keeps linked passages from overtaking a seed on a weak link.
 */

const SEEDS = 6
const GAIN = 1.75
const SELF_LINK = 1.4
const TITLE_LINK = 0.8
const ADJACENT_LINK = 1

export interface Seed {
  uid: string
  /** ω: 1 for the first, less the further its score is behind. */
  weight: number
}

/** Seeds among passages ranked by falling score. */
export function chooseSeeds(ranked: string[], scores: Map<string, number>): Seed[] {
  const top = scores.get(ranked[0] ?? '') ?? 0
  return ranked.slice(0, SEEDS).map((uid) => ({ uid, weight: Math.exp((scores.get(uid) ?? 0) - top) }))
}

/** A way from a seed to a passage. `concept` is null between neighbours in one document. */
export interface Link {
  seed: string
  concept: string | null
  via: 'concept' | 'title' | 'adjacent'
  strength: number
}

/** The link by shared concepts: `shared` is the heaviest, `titled` whether the seed mentions n's title. */
export function sharedLink(
  seed: string,
  shared: { name: string; weight: number } | null,
  title: string | null,
): Link {
  return {
    seed,
    concept: title ?? shared?.name ?? null,
    via: title === null ? 'concept' : 'title',
    strength: (shared?.weight ?? 0) + (title === null ? 0 : TITLE_LINK),
  }
}

export function adjacentLink(seed: string): Link {
  return { seed, concept: null, via: 'adjacent', strength: ADJACENT_LINK }
}

export interface LinkPoints {
  points: number
  /** The link that won; null for a seed's link to itself. */
  link: Link | null
}

/** Points of each passage that a link reaches, and of each seed. */
export function linkPoints(seeds: Seed[], links: Map<string, Link[]>): Map<string, LinkPoints> {
  const weightOf = new Map(seeds.map(({ uid, weight }) => [uid, weight]))
  const points = new Map<string, LinkPoints>(
    seeds.map(({ uid, weight }) => [uid, { points: GAIN * weight * SELF_LINK, link: null }]),
  )
  for (const [uid, reaching] of links) {
    for (const link of reaching) {
      const gained = GAIN * (weightOf.get(link.seed) ?? 0) * link.strength
      if (gained > (points.get(uid)?.points ?? 0)) points.set(uid, { points: gained, link })
    }
  }
  return points
}
