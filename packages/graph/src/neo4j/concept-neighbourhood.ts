import type { ConceptListing, ConceptNeighbourhood, Scope } from '../port.ts'
import { CHUNKS_PER_CONCEPT, COUNTED, LISTING, MENTIONING } from './concept-reads.ts'
import type { Transaction } from './connection.ts'
import { scopeParameters, scopeStart } from './scope.ts'

const MAX_NEIGHBOURHOOD = 200
const NEIGHBOURS_PER_CONCEPT = 30
const MAX_ITEMS = 100

export async function conceptNeighbourhood(
  tx: Transaction,
  scope: Scope,
  uid: string,
  depth: number,
): Promise<ConceptNeighbourhood | null> {
  const [start] = await listings(tx, scope, [uid])
  if (!start) return null
  const reached = new Map([[uid, { ...start, distance: 0 }]])
  const edges = new Map<string, { from: string; to: string; weight: number }>()
  let frontier = [uid]
  for (let distance = 1; distance <= Math.min(Math.max(depth, 1), 3); distance++) {
    const found = await standingWith(tx, scope, frontier)
    const fresh = [...new Set(found.map(({ to }) => to))].filter((to) => !reached.has(to))
    const listed = await listings(tx, scope, fresh.slice(0, MAX_NEIGHBOURHOOD - reached.size))
    for (const one of listed) reached.set(one.concept_uid, { ...one, distance })
    for (const { from, to, weight } of found) {
      if (!reached.has(to)) continue
      const [first, second] = from < to ? [from, to] : [to, from]
      edges.set(`${first} ${second}`, { from: first, to: second, weight })
    }
    frontier = listed.map((one) => one.concept_uid)
  }
  return {
    concepts: [...reached.values()],
    edges: [...edges.values()],
    items: await itemsMentioning(tx, scope, uid),
  }
}

/** In the order asked, those that the scope mentions. */
async function listings(tx: Transaction, scope: Scope, uids: string[]): Promise<ConceptListing[]> {
  if (uids.length === 0) return []
  const rows = await tx.run<{ listing: ConceptListing }>(
    `${scopeStart(scope)} UNWIND range(0, size($uids) - 1) AS n MATCH (k:Concept {uid: $uids[n]}) ${COUNTED}
     WITH n, k, df WHERE df > 0 RETURN ${LISTING} AS listing ORDER BY n`,
    { ...scopeParameters(scope), uids },
  )
  return rows.map(({ listing }) => listing)
}

/** Per concept those that most often stand in the same chunks, of up to 200 chunks, heaviest first. */
async function standingWith(
  tx: Transaction,
  scope: Scope,
  uids: string[],
): Promise<{ from: string; to: string; weight: number }[]> {
  if (uids.length === 0) return []
  return tx.run(
    `${scopeStart(scope)} UNWIND range(0, size($uids) - 1) AS n MATCH (k:Concept {uid: $uids[n]})
     CALL (k, libs) {
       CALL (k, libs) { ${MENTIONING} WITH c LIMIT ${CHUNKS_PER_CONCEPT} RETURN c }
       MATCH (c)-[:MENTIONS]->(other:Concept) WHERE other <> k
       WITH other, count(*) AS weight ORDER BY weight DESC, other.kind = 'phrase', other.key
       LIMIT ${NEIGHBOURS_PER_CONCEPT}
       RETURN other.uid AS to, weight
     }
     RETURN $uids[n] AS from, to, weight ORDER BY n, weight DESC`,
    { ...scopeParameters(scope), uids },
  )
}

function itemsMentioning(tx: Transaction, scope: Scope, uid: string): Promise<ConceptNeighbourhood['items']> {
  return tx.run(
    `${scopeStart(scope)} MATCH (k:Concept {uid: $uid})
     CALL (k, libs) { ${MENTIONING} WITH c LIMIT ${CHUNKS_PER_CONCEPT} RETURN c }
     MATCH (c)<-[h:HAS_CHUNK]-(i:Item) WHERE h.gen = i.gen
     WITH DISTINCT i ORDER BY i.title, i.uid LIMIT ${MAX_ITEMS}
     RETURN i.uid AS item_uid, i.title AS title, i.library_uid AS library_uid`,
    { ...scopeParameters(scope), uid },
  )
}
