import { titleConceptKey } from '../analysis/concept-keys.ts'
import { DimensionMismatchError, ItemGoneError, LibraryGoneError } from '../errors.ts'
import type { ItemContent, ReplaceOutcome } from '../port.ts'
import { chunkRows, portions } from './chunk-rows.ts'
import {
  addChunks,
  changeKeptChunks,
  countedChunks,
  markLive,
  type Prepared,
  type PresentChunk,
  presentChunks,
} from './chunk-writes.ts'
import {
  givenConcepts,
  type KnownKeys,
  linkBack,
  linkChunks,
  mentionsOf,
  putConcepts,
  removeForgotten,
} from './concept-writes.ts'
import { int, type Neo4jConnection, type Transaction } from './connection.ts'
import { removeGeneration } from './left-overs.ts'
import { TotalsChange } from './totals.ts'

/** Another writer changed the item between the beginning and the swap. */
class ItemChanged extends Error {}

const ATTEMPTS = 8

export interface Stored {
  outcome: ReplaceOutcome
  /** What the item held before is still there, unseen. */
  leftOver: boolean
}

/**
 * Stores the new content beside the present one, in portions, and then swaps (see schema.ts). Expects content that
 * `checkContent` has passed.
 */
export async function replaceItemContent(
  db: Neo4jConnection,
  known: KnownKeys,
  content: ItemContent,
): Promise<Stored> {
  for (let attempt = 1; ; attempt++) {
    const claim = await db.write((tx) => begin(tx, content))
    if (claim === 'superseded') return { outcome: claim, leftOver: false }
    try {
      return await storeGeneration(db, known, content, claim)
    } catch (error) {
      // Where this fails too, the next generation takes it along.
      await removeGeneration(db, content.item_uid, claim.generation).catch(() => {})
      if (!(error instanceof ItemChanged) || attempt === ATTEMPTS) throw error
    }
  }
}

interface Claim {
  /** Of the content to be stored. */
  generation: number
  /** Of the content that is seen now; 0: none. */
  present: number
  collection: string | null
}

interface ItemState extends Claim {
  library: string
  living: boolean
  version: number
  dimensions: number | null
}

async function begin(tx: Transaction, content: ItemContent): Promise<Claim | 'superseded'> {
  const item = await lockItem(tx, content)
  if (item.version > content.version) return 'superseded'
  checkDimensions(content, item.dimensions)
  const generation = item.generation + 1
  await tx.run('MATCH (i:Item {uid: $uid}) SET i.last_gen = $generation', {
    uid: content.item_uid,
    generation: int(generation),
  })
  return { generation, present: item.present, collection: item.collection }
}

/** @throws LibraryGoneError, ItemGoneError */
async function lockItem(tx: Transaction, { item_uid, library_uid }: ItemContent): Promise<ItemState> {
  const [library] = await tx.run(
    'MATCH (l:Library {uid: $library_uid}) WHERE l.deleting IS NULL RETURN l.uid',
    { library_uid },
  )
  if (!library) throw new LibraryGoneError(library_uid)
  const [item] = await tx.run<ItemState>(
    `MATCH (i:Item {uid: $item_uid}) SET i.lock = 0
     WITH i MATCH (store:GraphStore {name: 'store'})
     RETURN i.last_gen AS generation, i.gen AS present, i.collection_uid AS collection, i.library_uid AS library,
       i.retired IS NULL AS living, i.version AS version, store.dimensions AS dimensions`,
    { item_uid },
  )
  if (!item?.living || item.library !== library_uid) throw new ItemGoneError(item_uid)
  return item
}

const dimensionsOf = (content: ItemContent) =>
  content.chunks.find(({ embedding }) => embedding)?.embedding?.length ?? null

function checkDimensions(content: ItemContent, stored: number | null): void {
  const given = dimensionsOf(content)
  if (stored !== null && given !== null && stored !== given) throw new DimensionMismatchError(stored, given)
}

async function storeGeneration(
  db: Neo4jConnection,
  known: KnownKeys,
  content: ItemContent,
  claim: Claim,
): Promise<Stored> {
  const given = givenConcepts(content)
  const rows = await chunkRows(content, claim.generation)
  const kept = await db.read((tx) => presentChunks(tx, content.item_uid, claim.present))
  const before = new Set([...kept.values()].flatMap((chunk) => chunk.mentioned))
  let unlinked = await putConcepts(db, given)
  for (const portion of portions(rows)) {
    await db.write(async (tx) => {
      // Or an item that is deleted meanwhile would leave chunks behind.
      await lockItem(tx, content)
      await addChunks(tx, content, claim.collection, portion, kept)
    })
  }
  // The chunks are there before it is asked which concepts there are, and a concept before it is asked which chunks:
  // of two writers at least one sees the other's.
  const mentions = await mentionsOf(content, await known.refresh(db))
  const linked = await linkChunks(db, withoutLinked(mentions, kept))
  const lost = [...given.keys()].filter((key) => mentions.has(key) && !linked.has(key) && !before.has(key))
  if (lost.length > 0) {
    unlinked = [...unlinked, ...(await putConcepts(db, new Map(lost.map((key) => [key, given.get(key)!]))))]
    await linkChunks(db, new Map(lost.map((key) => [key, mentions.get(key)!])))
  }
  await linkBack(db, unlinked, content.item_uid, rows.length)
  const outcome = await db.write((tx) => swap(tx, content, claim, { rows, kept, mentions }))
  if (outcome === 'superseded') await removeGeneration(db, content.item_uid, claim.generation)
  await removeForgotten(
    db,
    [...given.keys(), ...before].filter((key) => !mentions.has(key)),
  )
  return { outcome, leftOver: claim.present > 0 }
}

/** Without what the present chunks mention already. */
function withoutLinked(
  mentions: Map<string, string[]>,
  kept: Map<string, PresentChunk>,
): Map<string, string[]> {
  const linked = new Map([...kept].map(([uid, { mentioned }]) => [uid, new Set(mentioned)]))
  const left = new Map<string, string[]>()
  for (const [key, chunks] of mentions) {
    const missing = chunks.filter((uid) => !linked.get(uid)?.has(key))
    if (missing.length > 0) left.set(key, missing)
  }
  return left
}

/** Makes the new generation the one that is seen. */
async function swap(
  tx: Transaction,
  content: ItemContent,
  claim: Claim,
  prepared: Prepared,
): Promise<ReplaceOutcome> {
  const item = await lockItem(tx, content)
  if (item.present === claim.generation) return 'stored' // Done before; its confirmation was lost.
  if (item.version > content.version) return 'superseded'
  if (item.present !== claim.present || item.collection !== claim.collection) throw new ItemChanged()
  const totals = new TotalsChange()
  for (const { terms, embedded } of await countedChunks(tx, content.item_uid, claim.present)) {
    totals.count(terms, embedded, -1)
  }
  for (const { terms, embedded } of prepared.rows) totals.count(terms, embedded, 1)
  await changeKeptChunks(tx, content, claim.collection, prepared)
  await markLive(tx, prepared)
  await tx.run('MATCH (i:Item {uid: $uid}) SET i += $properties, i.stale_since = timestamp()', {
    uid: content.item_uid,
    properties: itemProperties(content, claim.generation),
  })
  await totals.settle(tx, content.library_uid, dimensionsOf(content))
  return 'stored'
}

function itemProperties(content: ItemContent, generation: number): Record<string, unknown> {
  return {
    gen: int(generation),
    title: content.title.toWellFormed(),
    title_key: titleConceptKey(content.title),
    content_hash: content.content_hash,
    embedding_model: content.embedding_model,
    chunk_count: int(content.chunks.length),
    embedded: int(content.chunks.filter(({ embedding }) => embedding).length),
    image_count: int(content.image_count ?? 0),
    version: int(content.version),
    embedding_status: 'completed',
    error: null,
    updated_at: content.updated_at,
    ...(content.file_type !== undefined && { file_type: content.file_type }),
    ...(content.file_size !== undefined && { file_size: int(content.file_size) }),
    ...(content.s3_key != null && { s3_key: content.s3_key }),
    ...(content.metadata !== undefined && { metadata: JSON.stringify(content.metadata) }),
  }
}
