import { removeForgotten } from './concept-writes.ts'
import { int, type Neo4jConnection, type Transaction } from './connection.ts'

const CHUNKS_AT_ONCE = 200

/** Removes a generation that never was seen. */
export async function removeGeneration(db: Neo4jConnection, item: string, generation: number): Promise<void> {
  await removeChunks(db, (tx) =>
    tx.run(
      `MATCH (i:Item {uid: $item})-[h:HAS_CHUNK]->(c:Chunk) WHERE h.gen = $generation AND h.gen <> i.gen
       WITH h, c LIMIT ${CHUNKS_AT_ONCE} ${REMOVE}`,
      { item, generation: int(generation) },
    ),
  )
}

/** Removes what an item held before its present generation. */
export async function removeEarlier(db: Neo4jConnection, item: string): Promise<void> {
  await removeChunks(db, (tx) =>
    tx.run(
      `MATCH (i:Item {uid: $item})-[h:HAS_CHUNK]->(c:Chunk) WHERE h.gen < i.gen
       WITH h, c LIMIT ${CHUNKS_AT_ONCE} ${REMOVE}`,
      { item },
    ),
  )
  await db.write((tx) =>
    tx.run(
      `MATCH (i:Item {uid: $item}) WHERE NOT EXISTS { MATCH (i)-[h:HAS_CHUNK]->() WHERE h.gen < i.gen }
       SET i.stale_since = null`,
      { item },
    ),
  )
}

/** Removes chunks of an item that is being deleted. */
export async function removeRetired(db: Neo4jConnection, items: string[]): Promise<number> {
  const forgotten = await removeChunks(db, (tx) =>
    tx.run(
      `UNWIND $items AS item MATCH (:Item {uid: item})-[h:HAS_CHUNK]->(c:Chunk)
       WITH h, c LIMIT ${CHUNKS_AT_ONCE} ${REMOVE}`,
      { items },
    ),
  )
  await db.write((tx) =>
    tx.run('UNWIND $items AS uid MATCH (i:Item {uid: uid}) WHERE i.retired IS NOT NULL DETACH DELETE i', {
      items,
    }),
  )
  return forgotten
}

/**
 * Continues from relationships `h` to chunks `c`: takes them away, and the chunks that no other generation holds. One
 * row: how many relationships, and what the removed chunks mentioned.
 */
const REMOVE = `WITH collect(h) AS places, collect(DISTINCT c) AS chunks
  WITH places, chunks, size(places) AS found
  FOREACH (h IN places | DELETE h)
  WITH chunks, found
  CALL (chunks) {
    UNWIND chunks AS c WITH c WHERE NOT EXISTS { (c)<-[:HAS_CHUNK]-() }
    OPTIONAL MATCH (c)-[:MENTIONS]->(k:Concept)
    WITH c, collect(k.key) AS keys DETACH DELETE c
    RETURN collect(keys) AS mentioned
  }
  RETURN found, mentioned`

/** @returns how many concepts went with the chunks. */
async function removeChunks(
  db: Neo4jConnection,
  step: (tx: Transaction) => Promise<{ found: number; mentioned: string[][] }[]>,
): Promise<number> {
  const keys = new Set<string>()
  for (;;) {
    const [row] = await db.write(step)
    for (const key of row?.mentioned.flat() ?? []) keys.add(key)
    if (!row || row.found < CHUNKS_AT_ONCE) break
  }
  return removeForgotten(db, keys)
}
