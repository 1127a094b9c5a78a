import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { BlobNotFoundError, type BlobStore, type Logger } from '@mnemosyne/platform'
import type { ProcessingResult } from '../processing/processor.ts'
import type { JobRow } from '../store/tables.ts'
import type { EmbeddedChunk } from './embed-chunks.ts'
import { itemPrefix, jobPrefix } from './fetch-source.ts'

const MAX_BYTES = 2 ** 30
/** Of the stage results. */
const FORMAT = 1
/** Of the record of an item's content. */
const CONTENT_FORMAT = 1

const compress = promisify(gzip)
const expand = promisify(gunzip)

const processedKey = (row: JobRow) => `${jobPrefix(row.job_id)}processed.json.gz`
export const contentKey = (row: Pick<JobRow, 'item_uid' | 'content_hash'>) =>
  `${itemPrefix(row.item_uid)}${row.content_hash}/content.json.gz`
export const vectorsKey = (row: Pick<JobRow, 'item_uid' | 'content_hash'>) =>
  `${itemPrefix(row.item_uid)}${row.content_hash}/vectors.f32`

/**
 * Parsed document, chunks and concepts of a job that was cut short after parsing. What can't be read, because
 * the disk or another version of the program damaged it, is made again.
 */
export async function loadProcessed(
  blobs: BlobStore,
  row: JobRow,
  log: Logger,
): Promise<ProcessingResult | undefined> {
  let packed: Uint8Array
  try {
    packed = await blobs.read(processedKey(row), MAX_BYTES)
  } catch (error) {
    if (error instanceof BlobNotFoundError) return undefined
    throw error
  }
  try {
    const text = (await expand(packed, { maxOutputLength: MAX_BYTES })).toString('utf8')
    const kept = JSON.parse(text) as { format: number; result: ProcessingResult }
    return kept.format === FORMAT ? kept.result : undefined
  } catch (err) {
    log.warn({ err, job_id: row.job_id }, 'a stage result is damaged and made again')
    return undefined
  }
}

export async function saveProcessed(
  blobs: BlobStore,
  row: JobRow,
  result: ProcessingResult,
  signal: AbortSignal,
): Promise<void> {
  await blobs.put(processedKey(row), await compress(JSON.stringify({ format: FORMAT, result })), { signal })
}

/**
 * The record of an item's content, from which the graph can be made again without a model: parsed document,
 * chunks with their vectors' keys, and concepts as JSON; beside it the vectors, one after another, as
 * little-endian 32-bit floats (absent without a model).
 */
export async function saveContent(
  blobs: BlobStore,
  row: JobRow,
  result: ProcessingResult,
  embedded: EmbeddedChunk[],
  embeddingModel: string | null,
  signal: AbortSignal,
): Promise<void> {
  const record = {
    format: CONTENT_FORMAT,
    item_uid: row.item_uid,
    version: row.version,
    title: row.title,
    embedding_model: embeddingModel,
    dimensions: embedded[0]?.embedding?.length ?? null,
    document: result.document,
    chunks: embedded.map(({ chunk, embedding_key }) => ({ ...chunk, embedding_key })),
    concepts: result.concepts,
  }
  await blobs.put(contentKey(row), await compress(JSON.stringify(record)), { signal })
  const vectors = embedded.flatMap(({ embedding }) => (embedding ? [embedding] : []))
  if (vectors.length > 0) {
    await blobs.put(
      vectorsKey(row),
      Buffer.concat(
        vectors.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
      ),
      { signal },
    )
  }
}

/** What `saveContent` kept of an item. */
export interface StoredContent {
  version: number
  title: string
  embedding_model: string | null
  document: ProcessingResult['document']
  chunks: EmbeddedChunk[]
  concepts: ProcessingResult['concepts']
  /** Why the chunks come without the vectors that they should have. */
  fault?: string
}

/** The record of an item's content cannot be read. */
export class DamagedContentError extends Error {
  override readonly name = 'DamagedContentError'
  readonly code = 'DAMAGED_CONTENT'
}

type ContentRecord = Omit<StoredContent, 'chunks'> & {
  format: number
  dimensions: number | null
  chunks: (EmbeddedChunk['chunk'] & { embedding_key: string | null })[]
}

/** Reads back what `saveContent` has written; undefined when there is nothing. Throws `DamagedContentError`. */
export async function loadContent(
  blobs: BlobStore,
  row: Pick<JobRow, 'item_uid' | 'content_hash'>,
): Promise<StoredContent | undefined> {
  const packed = await readIfThere(blobs, contentKey(row))
  if (!packed) return undefined
  const record = await unpack(contentKey(row), packed)
  const { version, title, embedding_model, document, concepts, dimensions } = record
  const made = { version, title, document, concepts }
  const chunks = record.chunks.map(({ embedding_key, ...chunk }) => ({ chunk, embedding_key }))
  const without = chunks.map(({ chunk }) => ({ chunk, embedding: null, embedding_key: null }))
  if (!dimensions) return { ...made, embedding_model: null, chunks: without }
  const bytes = await readIfThere(blobs, vectorsKey(row))
  if (bytes?.length !== chunks.length * dimensions * 4) {
    const fault = `${vectorsKey(row)} is missing, or does not fit the content beside it.`
    return { ...made, embedding_model: null, chunks: without, fault }
  }
  const vectorAt = (index: number) => {
    const at = index * dimensions * 4
    return new Float32Array(bytes.slice(at, at + dimensions * 4).buffer)
  }
  const embedded = chunks.map((chunk, index) => ({ ...chunk, embedding: vectorAt(index) }))
  return { ...made, embedding_model, chunks: embedded }
}

async function unpack(key: string, packed: Uint8Array): Promise<ContentRecord> {
  let record: ContentRecord
  try {
    record = JSON.parse((await expand(packed, { maxOutputLength: MAX_BYTES })).toString('utf8'))
  } catch (cause) {
    throw new DamagedContentError(`${key} cannot be read.`, { cause })
  }
  if (record.format === CONTENT_FORMAT) return record
  throw new DamagedContentError(`${key} was written by a newer version (format ${record.format}).`)
}

async function readIfThere(blobs: BlobStore, key: string): Promise<Uint8Array | undefined> {
  try {
    return await blobs.read(key, MAX_BYTES)
  } catch (error) {
    if (error instanceof BlobNotFoundError) return undefined
    throw error
  }
}
