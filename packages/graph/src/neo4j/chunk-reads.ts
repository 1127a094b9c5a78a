import type { ChunkDetail, ChunkInContext, ChunkNeighbours, Page, Scope, StoredChunk } from '../port.ts'
import { int, place, type Transaction } from './connection.ts'
import { CHUNKS_ASKED, inOrder, inScope, scopeParameters, scopeStart } from './scope.ts'

const MAX_NEIGHBOURS = 50

const PLACE = `.chunk_index, .page, .char_start, .char_end, .token_count, .section_path`
const CHUNK = `h{${PLACE}, .s3_key, chunk_uid: c.uid, text: c.text, item_uid: i.uid, item_title: i.title,
  library_uid: i.library_uid, library_type: l.library_type, embedded: c.embedding IS NOT NULL}`

/** Chunks of item `i` in its generation `gen` whose index is from `$from` to `$to`, as the list `name`. */
const chunksFromTo = (from: string, to: string, name: string) => `CALL (i, gen, l) {
  UNWIND range(${from}, ${to}) AS n
  MATCH ()-[h:HAS_CHUNK]->(c:Chunk) USING INDEX h:HAS_CHUNK(place)
  WHERE h.place = i.uid + ' ' + toString(gen) + ' ' + toString(n)
  WITH ${CHUNK} AS chunk ORDER BY chunk.chunk_index
  RETURN collect(chunk) AS ${name}
}`

export async function listChunks(
  tx: Transaction,
  scope: Scope,
  item: string,
  page: Page,
): Promise<{ chunks: StoredChunk[]; total: number }> {
  const [row] = await tx.run<{ chunks: StoredChunk[]; total: number }>(
    `${scopeStart(scope)} MATCH (i:Item {uid: $item}) WHERE i.retired IS NULL AND ${inScope('i')}
     MATCH (l:Library {uid: i.library_uid})
     WITH i, l, i.gen AS gen, i.chunk_count AS total,
       CASE WHEN $end < i.chunk_count THEN $end ELSE i.chunk_count END AS end
     ${chunksFromTo('$offset', 'end - 1', 'chunks').replace('(i, gen, l)', '(i, gen, l, end)')}
     RETURN chunks, total`,
    { ...scopeParameters(scope), item, offset: place(page.offset), end: place(page.offset + page.limit) },
  )
  return row ?? { chunks: [], total: 0 }
}

export async function getChunk(
  tx: Transaction,
  scope: Scope,
  uid: string,
  { before = 0, after = 0 }: { before?: number; after?: number } = {},
): Promise<ChunkInContext | null> {
  const around = (from: string, to: string, name: string) =>
    chunksFromTo(from, to, name).replace('(i, gen, l)', '(i, gen, l, at)')
  const [row] = await tx.run<ChunkInContext>(
    `${scopeStart(scope)} ${CHUNKS_ASKED} MATCH (l:Library {uid: i.library_uid})
     WITH i, l, gen, h.chunk_index AS at, ${CHUNK} AS chunk
     ${around('at - $before', 'at - 1', 'before')}
     ${around('at + 1', 'at + $after', 'after')}
     RETURN chunk, before, after`,
    {
      ...scopeParameters(scope),
      uids: [uid],
      before: int(Math.min(before, MAX_NEIGHBOURS)),
      after: int(Math.min(after, MAX_NEIGHBOURS)),
    },
  )
  return row ?? null
}

export async function neighbours(tx: Transaction, scope: Scope, uids: string[]): Promise<ChunkNeighbours[]> {
  const beside = (step: string, name: string) => `OPTIONAL MATCH ()-[${name}_h:HAS_CHUNK]->(${name}:Chunk)
    WHERE ${name}_h.place = i.uid + ' ' + toString(gen) + ' ' + toString(h.chunk_index ${step})`
  const rows = await tx.run<ChunkNeighbours>(
    `${scopeStart(scope)} ${CHUNKS_ASKED} ${beside('- 1', 'previous')} ${beside('+ 1', 'next')}
     RETURN c.uid AS chunk_uid, previous.uid AS previous, next.uid AS next`,
    { ...scopeParameters(scope), uids },
  )
  return inOrder(uids, new Map(rows.map((row) => [row.chunk_uid, row])))
}

export async function chunkDetails(tx: Transaction, scope: Scope, uids: string[]): Promise<ChunkDetail[]> {
  const rows = await tx.run<{ detail: ChunkDetail }>(
    `${scopeStart(scope)} ${CHUNKS_ASKED} MATCH (l:Library {uid: i.library_uid})
     RETURN h{${PLACE}, chunk_uid: c.uid, text: c.text, item_uid: i.uid, item_title: i.title,
       library_uid: i.library_uid, library_name: l.name, library_type: l.library_type,
       collection_uid: i.collection_uid} AS detail`,
    { ...scopeParameters(scope), uids },
  )
  return inOrder(uids, new Map(rows.map(({ detail }) => [detail.chunk_uid, detail])))
}
