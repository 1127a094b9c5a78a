import { randomUUID } from 'node:crypto'
import { addCounts, noCounts } from '../deletion-counts.ts'
import type { DeletionCounts } from '../port.ts'
import type { Neo4jConnection, Transaction } from './connection.ts'
import { removeRetired } from './left-overs.ts'
import { TotalsChange } from './totals.ts'

/** What one step of a deletion takes at most: items of so many chunks in all, or one larger one. */
const CHUNKS_PER_STEP = 200
const ITEMS_PER_STEP = 100

export async function deleteItem(db: Neo4jConnection, uid: string): Promise<DeletionCounts> {
  return deleteItems(db, [uid])
}

/** Takes items out of sight in one transaction, then removes what they held. */
async function deleteItems(db: Neo4jConnection, uids: string[]): Promise<DeletionCounts> {
  const mark = randomUUID()
  const counts = await db.write((tx) => retire(tx, uids, mark))
  counts.concepts = await removeRetired(db, uids)
  return counts
}

async function retire(tx: Transaction, uids: string[], mark: string): Promise<DeletionCounts> {
  const items = await tx.run<{ uid: string; library: string; images: number; done: boolean }>(
    `UNWIND $uids AS uid MATCH (i:Item {uid: uid}) SET i.lock = 0
     WITH i WHERE i.retired IS NULL OR i.retired = $mark
     RETURN i.uid AS uid, i.library_uid AS library, i.image_count AS images, i.retired = $mark AS done`,
    { uids: [...uids].sort(), mark },
  )
  const counts = noCounts()
  const totals = new TotalsChange()
  for (const { uid, images } of items) {
    counts.items++
    counts.images += images
    await countOut(tx, uid, counts, totals)
  }
  const [first] = items
  // Done before; its confirmation was lost.
  if (!first || first.done) return counts
  await tx.run(
    `UNWIND $uids AS uid MATCH (i:Item {uid: uid})
     SET i.retired = $mark, i.counted_gen = i.gen, i.gen = 0, i.chunk_count = 0
     WITH i MATCH (i)-[:HAS_CHUNK]->(c:Chunk) SET c.live = null`,
    { uids: items.map(({ uid }) => uid), mark },
  )
  await totals.settle(tx, first.library, null)
  return counts
}

async function countOut(
  tx: Transaction,
  item: string,
  counts: DeletionCounts,
  totals: TotalsChange,
): Promise<void> {
  const chunks = await tx.run<{ terms: string; embedded: boolean; mentions: number }>(
    `MATCH (i:Item {uid: $item})-[h:HAS_CHUNK]->(c:Chunk) WHERE h.gen = coalesce(i.counted_gen, i.gen)
     RETURN c.terms AS terms, c.embedding IS NOT NULL AS embedded, COUNT { (c)-[:MENTIONS]->() } AS mentions`,
    { item },
  )
  for (const { terms, embedded, mentions } of chunks) {
    totals.count(terms, embedded, -1)
    counts.chunks++
    counts.mentions += mentions
    if (embedded) counts.embeddings++
  }
}

/** Deletes a collection, its items before it. */
export async function deleteCollection(db: Neo4jConnection, uid: string): Promise<DeletionCounts> {
  const total = await deleteItemsOf(db, 'collection_uid', uid)
  for (;;) {
    const removed = await db.write((tx) => removeCollection(tx, uid))
    if (removed !== 'has items') {
      total.collections = removed
      return total
    }
    addCounts(total, await deleteItemsOf(db, 'collection_uid', uid))
  }
}

async function removeCollection(tx: Transaction, uid: string): Promise<number | 'has items'> {
  const [row] = await tx.run<{ items: number }>(
    `MATCH (k:Collection {uid: $uid}) SET k.lock = 0
     WITH k RETURN COUNT { MATCH (:Item {collection_uid: k.uid}) } AS items`,
    { uid },
  )
  if (!row) return 0
  if (row.items > 0) return 'has items'
  await tx.run('MATCH (k:Collection {uid: $uid}) DETACH DELETE k', { uid })
  return 1
}

/** Marks the library, which takes it out of every answer, then removes it in steps. */
export async function deleteLibrary(db: Neo4jConnection, uid: string): Promise<DeletionCounts> {
  const [condemned] = await db.write((tx) =>
    tx.run('MATCH (l:Library {uid: $uid}) SET l.deleting = true, l.workspace_id = null RETURN l.uid', {
      uid,
    }),
  )
  if (!condemned) return noCounts()
  const total = await deleteItemsOf(db, 'library_uid', uid)
  const [row] = await db.write((tx) => removeLibrary(tx, uid))
  return { ...total, collections: row?.collections ?? 0, libraries: row ? 1 : 0 }
}

function removeLibrary(tx: Transaction, uid: string): Promise<{ collections: number }[]> {
  return tx.run(
    `MATCH (l:Library {uid: $uid})
     CALL (l) {
       MATCH (k:Collection {library_uid: l.uid}) DETACH DELETE k RETURN count(*) AS collections
     }
     DETACH DELETE l RETURN collections`,
    { uid },
  )
}

/** Libraries whose deletion was begun and not ended. */
export async function condemnedLibraries(db: Neo4jConnection): Promise<string[]> {
  const rows = await db.read((tx) =>
    tx.run<{ uid: string }>('MATCH (l:Library) WHERE l.deleting RETURN l.uid AS uid'),
  )
  return rows.map(({ uid }) => uid)
}

/** Items whose deletion was begun and not ended. */
export async function retiredItems(db: Neo4jConnection): Promise<string[]> {
  const rows = await db.read((tx) =>
    tx.run<{ uid: string }>('MATCH (i:Item) WHERE i.retired IS NOT NULL RETURN i.uid AS uid'),
  )
  return rows.map(({ uid }) => uid)
}

async function deleteItemsOf(
  db: Neo4jConnection,
  owner: 'library_uid' | 'collection_uid',
  uid: string,
): Promise<DeletionCounts> {
  const total = noCounts()
  for (;;) {
    const items = await db.read((tx) =>
      tx.run<{ uid: string; chunks: number }>(
        `MATCH (i:Item {${owner}: $uid}) RETURN i.uid AS uid, i.chunk_count AS chunks LIMIT ${ITEMS_PER_STEP}`,
        { uid },
      ),
    )
    if (items.length === 0) return total
    let chunks = 0
    const step = items.filter((item) => {
      const first = chunks === 0
      chunks += item.chunks
      return first || chunks <= CHUNKS_PER_STEP
    })
    addCounts(
      total,
      await deleteItems(
        db,
        step.map((item) => item.uid),
      ),
    )
  }
}
