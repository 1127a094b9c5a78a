import { type Ask, type ConceptInScope, conceptKeys, type GraphStore, type Scope } from '@mnemosyne/graph'
import { conceptWeight, isLinkable, LINKABLE_MAX, namedConceptPoints } from './ranking/concepts.ts'
import { adjacentLink, type Link, type Seed, sharedLink } from './ranking/links.ts'

/** Concepts of a query that are followed; a longer query names more, of which the rarest say most. */
const NAMED_MAX = 64
/** Concepts of all seeds that are followed. */
const FOLLOWED_MAX = 120
/** Passages that only a link reaches and that are scored. */
const LINKED_MAX = 200

interface WeighedConcept {
  name: string
  weight: number
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
  graph: GraphStore,
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
  const total = (uid: string) =>
    mentioning.get(uid)!.reduce((sum, concept) => sum + concepts.get(concept)!.weight, 0)
  const ranked = [...mentioning.keys()]
    .map((uid) => ({ uid, weight: total(uid) }))
    .sort((a, b) => b.weight - a.weight || (a.uid < b.uid ? -1 : 1))
    .map(({ uid }) => uid)
  return { scopeSize: found.scope_size, concepts, mentioning, ranked }
}

/** What a chunk gains from the concepts of the query that it mentions, and the heaviest of them. */
export interface NamedPoints {
  points: number
  concept: string
}

/** Points of those of `uids` that mention a concept of the query. */
export async function pointsOfNamed(
  graph: GraphStore,
  scope: Scope,
  named: NamedConcepts,
  uids: string[],
  ask: Ask,
): Promise<Map<string, NamedPoints>> {
  const titles = await titleConcepts(
    graph,
    scope,
    uids.filter((uid) => named.mentioning.has(uid)),
    ask,
  )
  return new Map(
    [...titles].map(([uid, title]) => {
      const mentioned = named.mentioning.get(uid)!.map((concept) => named.concepts.get(concept)!)
      const heaviest = mentioned.reduce((a, b) => (b.weight > a.weight ? b : a))
      const ofTitle = title === null ? undefined : named.concepts.get(title.concept_uid)
      const points = namedConceptPoints(
        mentioned.map(({ weight }) => weight),
        ofTitle !== undefined,
      )
      return [uid, { points, concept: (ofTitle ?? heaviest).name }]
    }),
  )
}

/**
 * Links from the seeds: to passages that share a concept which the query does not name, to passages of documents
 * whose title a seed mentions, and to the passage before and after. `isCandidate` tells which passages are
 * scored already; of the others only the most strongly linked are kept.
 *
 * What passages of one document share through its own title links none of them: it is true of them all.
 */
export async function followLinks(
  graph: GraphStore,
  scope: Scope,
  named: NamedConcepts,
  seeds: Seed[],
  isCandidate: (uid: string) => boolean,
  ask: Ask,
): Promise<Map<string, Link[]>> {
  const seedUids = seeds.map(({ uid }) => uid)
  const [mentions, neighbours] = await Promise.all([
    graph.mentions(scope, seedUids, ask),
    graph.neighbours(scope, seedUids, ask),
  ])
  const seedWeight = new Map(seeds.map(({ uid, weight }) => [uid, weight]))
  const seedTitle = new Map(mentions.map((seed) => [seed.chunk_uid, seed.title_concept?.concept_uid]))
  const seedsOf = new Map<string, string[]>()
  const followed = new Map<string, WeighedConcept & { urgency: number }>()
  for (const { chunk_uid, concepts } of mentions) {
    for (const { uid, name, weight } of weigh(concepts, named.scopeSize)) {
      append(seedsOf, uid, chunk_uid)
      const urgency = weight * seedWeight.get(chunk_uid)!
      if (urgency > (followed.get(uid)?.urgency ?? 0)) followed.set(uid, { name, weight, urgency })
    }
  }
  const kept = [...followed]
    .sort(([, a], [, b]) => b.urgency - a.urgency)
    .slice(0, FOLLOWED_MAX)
    .map(([uid]) => uid)
  const reached = await chunksByConcept(graph, scope, kept, ask)

  const promise = (uid: string) =>
    Math.max(...reached.get(uid)!.map((concept) => followed.get(concept)!.urgency))
  const strangers = [...reached.keys()]
    .filter((uid) => !isCandidate(uid))
    .map((uid) => ({ uid, promise: promise(uid) }))
    .sort((a, b) => b.promise - a.promise || (a.uid < b.uid ? -1 : 1))
    .slice(0, LINKED_MAX)
  const linked = [...[...reached.keys()].filter(isCandidate), ...strangers.map(({ uid }) => uid)]
  const titles = await titleConcepts(graph, scope, linked, ask)

  const links = new Map<string, Link[]>()
  for (const uid of linked) {
    const title = titles.get(uid)?.concept_uid
    const bySeed = new Map<string, { shared: WeighedConcept | null; titled: string | null }>()
    for (const concept of reached.get(uid)!) {
      const { name, weight } = followed.get(concept)!
      for (const seed of seedsOf.get(concept)!) {
        const sameDocument = title !== undefined && title === seedTitle.get(seed)
        if (seed === uid || (sameDocument && concept === title)) continue
        const link = bySeed.get(seed) ?? { shared: null, titled: null }
        if (concept === title) link.titled = name
        if (!named.concepts.has(concept) && weight > (link.shared?.weight ?? 0))
          link.shared = { name, weight }
        bySeed.set(seed, link)
      }
    }
    for (const [seed, { shared, titled }] of bySeed) {
      if (shared || titled !== null) append(links, uid, sharedLink(seed, shared, titled))
    }
  }
  for (const { chunk_uid, previous, next } of neighbours) {
    for (const uid of [previous, next]) if (uid !== null) append(links, uid, adjacentLink(chunk_uid))
  }
  return links
}

/** Concepts that can link, heaviest first. */
function weigh(concepts: ConceptInScope[], scopeSize: number): (WeighedConcept & { uid: string })[] {
  return concepts
    .filter(({ df }) => isLinkable(df, scopeSize))
    .map((concept) => ({
      uid: concept.concept_uid,
      name: concept.name,
      weight: conceptWeight(concept, scopeSize),
    }))
    .sort((a, b) => b.weight - a.weight || (a.uid < b.uid ? -1 : 1))
}

/** Which of the concepts each chunk mentions. */
async function chunksByConcept(
  graph: GraphStore,
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

async function titleConcepts(
  graph: GraphStore,
  scope: Scope,
  uids: string[],
  ask: Ask,
): Promise<Map<string, ConceptInScope | null>> {
  if (uids.length === 0) return new Map()
  const mentions = await graph.mentions(scope, uids, ask)
  return new Map(mentions.map(({ chunk_uid, title_concept }) => [chunk_uid, title_concept]))
}

function append<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}
