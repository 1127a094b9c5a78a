import { endianness } from 'node:os'
import { z } from 'zod'
import { EndpointMisconfigured } from './errors.ts'
import { EMBEDDING } from './kind.ts'
import { invalidReply, readReply } from './reply-json.ts'

const Reply = z.object({
  data: z.array(z.object({ index: z.number().optional(), embedding: z.unknown() })),
})

/**
 * The normalised vectors in an answer's body, in the order of the `count` texts that were sent. Numbers or base64 of
 * little-endian float32.
 *
 * Throws `EndpointReplyInvalid`, or `EndpointMisconfigured` for vectors that do not have `dimensions`.
 */
export function vectorsIn(body: string, count: number, dimensions: number | undefined): Float32Array[] {
  const { data } = readReply(EMBEDDING, Reply, body, 'a list of embeddings')
  if (data.length !== count) throw invalid(`${data.length} vectors for ${count} texts`)
  const vectors: Float32Array[] = []
  for (const [position, { index = position, embedding }] of data.entries()) {
    if (!Number.isInteger(index) || index < 0 || index >= count) throw invalid(`the index ${index}`)
    if (vectors[index]) throw invalid(`the index ${index} twice`)
    vectors[index] = normalised(numbersIn(embedding))
  }
  const expected = dimensions ?? vectors[0]?.length
  for (const { length } of vectors) if (length !== expected) throw wrongLength(length, expected!)
  return vectors
}

function numbersIn(embedding: unknown): Float32Array {
  if (typeof embedding === 'string') return decoded(embedding)
  if (!Array.isArray(embedding) || embedding.length === 0) throw invalid('an embedding that is no vector')
  if (!embedding.every((value) => typeof value === 'number'))
    throw invalid('a vector with something that is no number')
  return Float32Array.from(embedding)
}

function decoded(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length === 0 || bytes.length % 4 !== 0) throw invalid('an embedding that is no vector')
  if (endianness() === 'BE') bytes.swap32()
  return new Float32Array(Uint8Array.from(bytes).buffer)
}

function normalised(vector: Float32Array): Float32Array {
  let squares = 0
  for (const value of vector) squares += value * value
  if (!Number.isFinite(squares)) throw invalid('a vector with something that is no number')
  if (squares === 0) throw invalid('a vector of zeros')
  const length = Math.sqrt(squares)
  return vector.map((value) => value / length)
}

const invalid = (what: string) => invalidReply(EMBEDDING, what)

function wrongLength(actual: number, expected: number): EndpointMisconfigured {
  return new EndpointMisconfigured(
    `The ${EMBEDDING.name} sent vectors of ${actual} dimensions where ${expected} are expected. ` +
      'Check EMBEDDING_MODEL and EMBEDDING_DIMENSIONS, or whether the endpoint serves another model now.',
  )
}
