import { createHash } from 'node:crypto'
import type { ChunkContent, ItemContent } from '../port.ts'
import { int } from './connection.ts'
import { inTurns } from './in-turns.ts'
import { scopeWords, termTextsUnder } from './term-text.ts'
import { storedVector } from './vectors.ts'

/** A chunk of new content as it will be stored. */
export interface ChunkRow {
  uid: string
  /** Of all that the node holds: equal digests, nothing to write. */
  digest: string
  terms: string
  embedded: boolean
  /** What stands on the relationship from the item. */
  place: Record<string, unknown>
  content: ChunkContent
}

/** Bounds on what one transaction of a large item writes. */
const ROWS_AT_ONCE = 250
const NUMBERS_AT_ONCE = 500_000
const CHARACTERS_AT_ONCE = 2_000_000

export async function chunkRows(content: ItemContent, generation: number): Promise<ChunkRow[]> {
  const termText = termTextsUnder(content.title.toWellFormed())
  return inTurns(content.chunks, (chunk) => ({
    uid: chunk.chunk_uid,
    digest: digestOf(content.title, chunk),
    terms: termText(chunk.text),
    embedded: chunk.embedding !== null,
    place: {
      gen: int(generation),
      place: `${content.item_uid} ${generation} ${chunk.chunk_index}`,
      chunk_index: int(chunk.chunk_index),
      page: chunk.page === null ? null : int(chunk.page),
      char_start: int(chunk.char_start),
      char_end: int(chunk.char_end),
      token_count: int(chunk.token_count),
      s3_key: chunk.s3_key ?? null,
      section_path: chunk.section_path.map((part) => part.toWellFormed()),
    },
    content: chunk,
  }))
}

function digestOf(title: string, { text, embedding, embedding_key }: ChunkContent): string {
  const hash = createHash('sha256').update(`${title}\0${text}\0${embedding_key}\0`)
  if (embedding) hash.update(new Uint8Array(embedding.buffer, embedding.byteOffset, embedding.byteLength))
  return hash.digest('base64url')
}

/** The properties of the chunk's node, but for its place, its scope and the vector itself. */
export function propertiesOf({ uid, digest, terms, content }: ChunkRow, title: string) {
  const vector = content.embedding && storedVector(content.embedding)
  return {
    uid,
    properties: {
      digest,
      terms,
      text: content.text.toWellFormed(),
      title: title.toWellFormed(),
      embedding_key: vector ? content.embedding_key : null,
      zero: vector?.zero ?? null,
      scale: vector?.scale ?? null,
    },
    embedding: vector?.embedding ?? null,
  }
}

export const scopeProperties = (library: string, collection: string | null) => ({
  library_uid: library,
  collection_uid: collection,
  scope: scopeWords(library, collection),
})

/** Rows in portions that fit into a transaction's memory. */
export function portions(rows: ChunkRow[]): ChunkRow[][] {
  const all: ChunkRow[][] = []
  let numbers = 0
  let characters = 0
  for (const row of rows) {
    numbers += row.content.embedding?.length ?? 0
    characters += row.content.text.length + row.terms.length
    const last = all.at(-1)
    if (
      !last ||
      last.length === ROWS_AT_ONCE ||
      numbers > NUMBERS_AT_ONCE ||
      characters > CHARACTERS_AT_ONCE
    ) {
      all.push([row])
      numbers = row.content.embedding?.length ?? 0
      characters = row.content.text.length + row.terms.length
    } else last.push(row)
  }
  return all
}
