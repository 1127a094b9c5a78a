import { InvalidContentError } from '../errors.ts'
import type { ItemContent } from '../port.ts'
import { type ChunkRow, portions, propertiesOf, scopeProperties } from './chunk-rows.ts'
import { int, type Transaction } from './connection.ts'

/** A chunk of the present content. */
export interface PresentChunk {
  uid: string
  digest: string
  mentioned: string[]
}

export async function presentChunks(
  tx: Transaction,
  item: string,
  generation: number,
): Promise<Map<string, PresentChunk>> {
  const rows = await tx.run<PresentChunk>(
    `MATCH (:Item {uid: $item})-[h:HAS_CHUNK]->(c:Chunk) WHERE h.gen = $generation
     RETURN c.uid AS uid, c.digest AS digest, COLLECT { MATCH (c)-[:MENTIONS]->(k) RETURN k.key } AS mentioned`,
    { item, generation: int(generation) },
  )
  return new Map(rows.map((row) => [row.uid, row]))
}

/** New content that is stored and waits for the swap. */
export interface Prepared {
  rows: ChunkRow[]
  kept: Map<string, PresentChunk>
  mentions: Map<string, string[]>
}

/** Puts chunks into the new generation. Those of the present content are left as they are until the swap. */
export async function addChunks(
  tx: Transaction,
  content: ItemContent,
  collection: string | null,
  rows: ChunkRow[],
  kept: Map<string, PresentChunk>,
): Promise<void> {
  const scope = scopeProperties(content.library_uid, collection)
  const fresh = rows.filter(({ uid }) => !kept.has(uid))
  const [taken] = await tx.run<{ uid: string }>(
    `UNWIND $uids AS uid MERGE (c:Chunk {uid: uid}) ON CREATE SET c.item_uid = $item
     WITH c WHERE c.item_uid <> $item RETURN c.uid AS uid LIMIT 1`,
    { uids: rows.map(({ uid }) => uid), item: content.item_uid },
  )
  if (taken) throw new InvalidContentError(`Chunk uid ${taken.uid} is used by another item.`)
  await writeChunks(tx, fresh, content.title, scope)
  // Of an attempt that was cut short, or of content that is not seen any more.
  await tx.run('UNWIND $uids AS uid MATCH (:Chunk {uid: uid})-[old:MENTIONS]->() DELETE old', {
    uids: fresh.map(({ uid }) => uid),
  })
  await tx.run(
    `MATCH (i:Item {uid: $item}) UNWIND $rows AS row MATCH (c:Chunk {uid: row.uid})
     MERGE (i)-[h:HAS_CHUNK {place: row.place.place}]->(c) SET h = row.place`,
    { item: content.item_uid, rows: rows.map(({ uid, place }) => ({ uid, place })) },
  )
}

async function writeChunks(
  tx: Transaction,
  rows: ChunkRow[],
  title: string,
  scope: Record<string, unknown>,
): Promise<void> {
  const stored = rows.map((row) => propertiesOf(row, title))
  const write = async (some: typeof stored, vector: string) => {
    if (some.length === 0) return
    await tx.run(
      `UNWIND $rows AS row MATCH (c:Chunk {uid: row.uid}) SET c += row.properties, c += $scope ${vector}`,
      { rows: some, scope },
    )
  }
  await write(
    stored.filter(({ embedding }) => embedding === null),
    ', c.embedding = null',
  )
  // Four bytes a number; a list that is simply set takes eight.
  await write(
    stored.filter(({ embedding }) => embedding !== null),
    "WITH c, row CALL db.create.setNodeVectorProperty(c, 'embedding', row.embedding)",
  )
}

/** What concepts are counted by: good enough for a count, and quickly read. */
export async function markLive(tx: Transaction, { rows, kept }: Prepared): Promise<void> {
  const uids = new Set(rows.map(({ uid }) => uid))
  await tx.run('UNWIND $uids AS uid MATCH (c:Chunk {uid: uid}) SET c.live = true', {
    uids: [...uids].filter((uid) => !kept.has(uid)),
  })
  await tx.run('UNWIND $uids AS uid MATCH (c:Chunk {uid: uid}) SET c.live = null', {
    uids: [...kept.keys()].filter((uid) => !uids.has(uid)),
  })
}

/** What a generation's chunks are counted with. */
export function countedChunks(
  tx: Transaction,
  item: string,
  generation: number,
): Promise<{ terms: string; embedded: boolean }[]> {
  return tx.run(
    `MATCH (:Item {uid: $item})-[h:HAS_CHUNK]->(c:Chunk) WHERE h.gen = $generation
     RETURN c.terms AS terms, c.embedding IS NOT NULL AS embedded`,
    { item, generation: int(generation) },
  )
}

/** What changes on chunks that stay: text, terms, vector, and the mentions that they lose. */
export async function changeKeptChunks(
  tx: Transaction,
  content: ItemContent,
  collection: string | null,
  { rows, kept, mentions }: Prepared,
): Promise<void> {
  const changed = rows.filter(({ uid, digest }) => kept.has(uid) && kept.get(uid)?.digest !== digest)
  const scope = scopeProperties(content.library_uid, collection)
  for (const portion of portions(changed)) await writeChunks(tx, portion, content.title, scope)
  const now = new Map<string, Set<string>>()
  for (const [key, chunks] of mentions)
    for (const uid of chunks) now.set(uid, (now.get(uid) ?? new Set()).add(key))
  const lost = rows.flatMap(({ uid }) => {
    const keys = kept.get(uid)?.mentioned.filter((key) => !now.get(uid)?.has(key)) ?? []
    return keys.length > 0 ? [{ uid, keys }] : []
  })
  if (lost.length === 0) return
  await tx.run(
    `UNWIND $lost AS lost MATCH (c:Chunk {uid: lost.uid})-[m:MENTIONS]->(k:Concept) WHERE k.key IN lost.keys DELETE m`,
    { lost },
  )
}
