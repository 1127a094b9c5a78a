import type { Ask, ChunkMentions, ConceptInScope, Scope, SearchStore } from '@mnemosyne/graph'
import { conceptKeys } from '@mnemosyne/graph/analysis'
import { conceptWeight, isLinkable, LINKABLE_MAX, namedConceptPoints } from './ranking/concepts.ts'
import { rankByScore } from './ranking/fusion.ts'
import { adjacentLink, type Link, type Seed, sharedLink } from './ranking/links.ts'

/** Concepts of a query that are followed; a longer query names more, of which the rarest say most. */
const NAMED_MAX = 64
/** Concepts of all seeds that are followed. */
const FOLLOWED_MAX = 60
/** Passages that only a link reaches and that are scored. */
const LINKED_MAX = 100

interface WeighedConcept {
  name: string
  weight: number
  /** Whether some document is called so. */
  isTitle: boolean
}

/** The concepts that a query names, and the chunks of the scope that mention them. */
export interface NamedConcepts {
  scopeSize: number
  concepts: Map<string, WeighedConcept>
  /** Concept uids by chunk uid. */
  mentioning: Map<string, string[]>
  /** Chunk uids by the summed weight of what they mention, heaviest first. */
  ranked: string[]
}

export async function nameConcepts(
  graph: SearchStore,
  scope: Scope,
  query: string,
  ask: Ask,
): Promise<NamedConcepts> {
  const found = await graph.conceptsNamed(scope, conceptKeys(query), ask)
  const concepts = new Map(
    weigh(found.concepts, found.scope_size)
      .slice(0, NAMED_MAX)
      .map(({ uid, ...concept }) => [uid, concept]),
  )
  const mentioning = await chunksByConcept(graph, scope, [...concepts.keys()], ask)
  const weight = (uids: string[]) => uids.reduce((sum, uid) => sum + concepts.get(uid)!.weight, 0)
  const ranked = rankByScore(new Map([...mentioning].map(([uid, mentioned]) => [uid, weight(mentioned)])))
  return { scopeSize: found.scope_size, concepts, mentioning, ranked }
}

/** What a chunk gains from the concepts of the query that it mentions, and the heaviest of them. */
export interface NamedPoints {
  points: number
  concept: string
}

/** Points of those of `uids` that mention a concept of the query. */
export async function pointsOfNamed(
  graph: SearchStore,
  scope: Scope,
  named: NamedConcepts,
  uids: string[],
  ask: Ask,
): Promise<Map<string, NamedPoints>> {
  const mentioned = new Map(
    uids.flatMap((uid) => {
      const concepts = named.mentioning.get(uid)
      return concepts ? [[uid, concepts.map((concept) => named.concepts.get(concept)!)] as const] : []
    }),
  )
  const mayBeTitled = [...mentioned].flatMap(([uid, concepts]) =>
    concepts.some(({ isTitle }) => isTitle) ? [uid] : [],
  )
  const titles = await titleConcepts(graph, scope, mayBeTitled, ask)
  return new Map(
    [...mentioned].map(([uid, concepts]) => {
      const title = named.concepts.get(titles.get(uid) ?? '')
      const heaviest = concepts.reduce((a, b) => (b.weight > a.weight ? b : a))
      const weights = concepts.map(({ weight }) => weight)
      return [
        uid,
        { points: namedConceptPoints(weights, title !== undefined), concept: (title ?? heaviest).name },
      ]
    }),
  )
}

/** A concept that seeds mention. */
interface FollowedConcept extends WeighedConcept {
  seeds: string[]
  /** Its weight times that of the best seed that mentions it. */
  urgency: number
}

/**
 * Links from the seeds: to passages that share a concept which the query does not name, to passages of documents
 * whose title a seed mentions, and to the passage before and after. `candidates` are scored already; of the other
 * passages only the most strongly linked are kept.
 *
 * What passages of one document share through its own title links none of them: it is true of them all.
 */
export async function followLinks(
  graph: SearchStore,
  scope: Scope,
  named: NamedConcepts,
  seeds: Seed[],
  candidates: string[],
  ask: Ask,
): Promise<Map<string, Link[]>> {
  const seedUids = seeds.map(({ uid }) => uid)
  const [mentions, neighbours] = await Promise.all([
    graph.mentions(scope, seedUids, ask),
    graph.neighbours(scope, seedUids, ask),
  ])
  const followed = conceptsOfSeeds(mentions, seeds, named.scopeSize)
  const reached =
    followed.size === 0
      ? []
      : await graph.linkedChunks(
          scope,
          [...followed].map(([concept_uid, { urgency }]) => ({ concept_uid, weight: urgency })),
          { among: candidates, others: LINKED_MAX },
          ask,
        )
  const titles = new Map(reached.map(({ chunk_uid, title_concept_uid }) => [chunk_uid, title_concept_uid]))
  for (const seed of mentions) titles.set(seed.chunk_uid, seed.title_concept?.concept_uid ?? null)

  const links = new Map(
    reached.map(
      ({ chunk_uid, concept_uids }) =>
        [chunk_uid, linksTo(chunk_uid, concept_uids, { followed, named, titles })] as const,
    ),
  )
  for (const { chunk_uid, previous, next } of neighbours) {
    for (const uid of [previous, next]) if (uid !== null) append(links, uid, adjacentLink(chunk_uid))
  }
  return links
}

/** The concepts to follow: those of the best seeds and the rarest first. */
function conceptsOfSeeds(
  mentions: ChunkMentions[],
  seeds: Seed[],
  scopeSize: number,
): Map<string, FollowedConcept> {
  const seedWeight = new Map(seeds.map(({ uid, weight }) => [uid, weight]))
  const found = new Map<string, FollowedConcept>()
  for (const { chunk_uid, concepts } of mentions) {
    for (const { uid, ...concept } of weigh(concepts, scopeSize)) {
      const known = found.get(uid) ?? { ...concept, seeds: [], urgency: 0 }
      known.seeds.push(chunk_uid)
      known.urgency = Math.max(known.urgency, concept.weight * seedWeight.get(chunk_uid)!)
      found.set(uid, known)
    }
  }
  return new Map([...found].sort(([, a], [, b]) => b.urgency - a.urgency).slice(0, FOLLOWED_MAX))
}

/** The link from each seed that shares one of `concepts` with the passage. */
function linksTo(
  uid: string,
  concepts: string[],
  {
    followed,
    named,
    titles,
  }: {
    followed: Map<string, FollowedConcept>
    named: NamedConcepts
    titles: Map<string, string | null>
  },
): Link[] {
  const title = titles.get(uid) ?? null
  const bySeed = new Map<string, { shared: WeighedConcept | null; titled: string | null }>()
  for (const concept of concepts) {
    const { seeds, ...weighed } = followed.get(concept)!
    for (const seed of seeds) {
      const sameDocument = title !== null && title === titles.get(seed)
      if (seed === uid || (sameDocument && concept === title)) continue
      const link = bySeed.get(seed) ?? { shared: null, titled: null }
      if (concept === title) link.titled = weighed.name
      if (!named.concepts.has(concept) && weighed.weight > (link.shared?.weight ?? 0)) link.shared = weighed
      bySeed.set(seed, link)
    }
  }
  return [...bySeed].flatMap(([seed, { shared, titled }]) =>
    shared || titled !== null ? [sharedLink(seed, shared, titled)] : [],
  )
}

/** Concepts that can link, heaviest first. */
function weigh(concepts: ConceptInScope[], scopeSize: number): (WeighedConcept & { uid: string })[] {
  return concepts
    .filter(({ df }) => isLinkable(df, scopeSize))
    .map((concept) => ({
      uid: concept.concept_uid,
      name: concept.name,
      weight: conceptWeight(concept, scopeSize),
      isTitle: concept.kind === 'title',
    }))
    .sort((a, b) => b.weight - a.weight || (a.uid < b.uid ? -1 : 1))
}

/** Which of the concepts each chunk mentions. */
async function chunksByConcept(
  graph: SearchStore,
  scope: Scope,
  conceptUids: string[],
  ask: Ask,
): Promise<Map<string, string[]>> {
  const byChunk = new Map<string, string[]>()
  if (conceptUids.length === 0) return byChunk
  for (const { concept_uid, chunk_uids } of await graph.chunksMentioning(
    scope,
    conceptUids,
    LINKABLE_MAX,
    ask,
  )) {
    for (const uid of chunk_uids) append(byChunk, uid, concept_uid)
  }
  return byChunk
}

/** Uid of the concept that each chunk's document is called by. */
async function titleConcepts(
  graph: SearchStore,
  scope: Scope,
  uids: string[],
  ask: Ask,
): Promise<Map<string, string | null>> {
  if (uids.length === 0) return new Map()
  const titles = await graph.titleConcepts(scope, uids, ask)
  return new Map(titles.map(({ chunk_uid, title_concept_uid }) => [chunk_uid, title_concept_uid]))
}

function append<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}
