import { InvalidContentError } from './errors.ts'
import type { ItemContent } from './port.ts'

const MAX_DIMENSIONS = 4096

/** @throws InvalidContentError when the content breaks the port's promises. */
export function checkContent(content: ItemContent): void {
  if (!Number.isSafeInteger(content.version) || content.version < 1) {
    throw new InvalidContentError(
      `The version of an item's content is an integer from 1, not ${content.version}.`,
    )
  }
  const uids = new Set<string>()
  let dimensions: number | null = null
  for (const { chunk_uid, embedding } of content.chunks) {
    if (uids.has(chunk_uid))
      throw new InvalidContentError(`Chunk uid ${chunk_uid} stands twice in the content.`)
    uids.add(chunk_uid)
    if (embedding === null) continue
    checkVector(embedding, chunk_uid)
    dimensions ??= embedding.length
    if (embedding.length !== dimensions) {
      throw new InvalidContentError(
        `Chunk ${chunk_uid} has ${embedding.length} dimensions, others ${dimensions}.`,
      )
    }
  }
}

function checkVector(vector: Float32Array, chunkUid: string): void {
  if (!(vector instanceof Float32Array) || vector.length < 1 || vector.length > MAX_DIMENSIONS) {
    throw new InvalidContentError(
      `The embedding of chunk ${chunkUid} must have 1 to ${MAX_DIMENSIONS} dimensions.`,
    )
  }
  if (!vector.every(Number.isFinite)) {
    throw new InvalidContentError(
      `The embedding of chunk ${chunkUid} holds a value that is not a finite number.`,
    )
  }
}

/** @throws InvalidContentError */
export function checkDimensions(dimensions: number): void {
  if (Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= MAX_DIMENSIONS) return
  throw new InvalidContentError(`A vector has 1 to ${MAX_DIMENSIONS} dimensions, not ${dimensions}.`)
}
