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

const compress = promisify(gzip)
const expand = promisify(gunzip)

const processedKey = (row: JobRow) => `${jobPrefix(row.job_id)}processed.json.gz`
const contentKey = (row: JobRow) => `${itemPrefix(row.item_uid)}${row.content_hash}/content.json.gz`
const vectorsKey = (row: JobRow) => `${itemPrefix(row.item_uid)}${row.content_hash}/vectors.f32`

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

export async function saveProcessed(blobs: BlobStore, row: JobRow, result: ProcessingResult): Promise<void> {
  await blobs.put(processedKey(row), await compress(JSON.stringify({ format: FORMAT, result })))
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
): Promise<void> {
  const record = {
    format: 1,
    item_uid: row.item_uid,
    version: row.version,
    title: row.title,
    embedding_model: embeddingModel,
    dimensions: embedded[0]?.embedding?.length ?? null,
    document: result.document,
    chunks: embedded.map(({ chunk, embedding_key }) => ({ ...chunk, embedding_key })),
    concepts: result.concepts,
  }
  await blobs.put(contentKey(row), await compress(JSON.stringify(record)))
  const vectors = embedded.flatMap(({ embedding }) => (embedding ? [embedding] : []))
  if (vectors.length > 0) {
    await blobs.put(
      vectorsKey(row),
      Buffer.concat(
        vectors.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
      ),
    )
  }
}
