import { createHash } from 'node:crypto'
import type { GraphStore } from '@mnemosyne/graph'
import type { Embedder } from '@mnemosyne/models'
import type { Sql } from '@mnemosyne/platform'
import type { Chunk } from '../chunking/chunk.ts'
import type { IngestTables } from '../store/tables.ts'
import { cachedVectors, keepVectors } from '../store/vectors.ts'

export interface EmbedDeps {
  sql: Sql<IngestTables>
  graph: Pick<GraphStore, 'reusableVectors'>
  batchSize: number
}

export interface EmbeddedChunk {
  chunk: Chunk
  embedding: Float32Array | null
  embedding_key: string | null
}

/** Keys asked of the graph at once. */
const KEYS_A_QUESTION = 1000

/** What makes a vector reusable: the model, the instruction where it takes one, and the text. */
export function embeddingKey(embedder: Embedder, instruction: string, text: string): string {
  const { revision, takesInstructions } = embedder.model
  return createHash('sha256')
    .update(`${revision}\0${takesInstructions ? instruction : ''}\0${text}`)
    .digest('hex')
}

/**
 * A vector for each chunk. Nothing is embedded twice: vectors come first from jobs in hand (this one, before it
 * was killed), then from the graph (the same text in any item), and only then from the model, batch by batch,
 * each batch kept when it is made.
 */
export async function embedChunks(
  deps: EmbedDeps,
  embedder: Embedder | null,
  job: {
    jobId: string
    chunks: Chunk[]
    instruction: string
    signal: AbortSignal
    onProgress: (done: number, all: number) => Promise<void>
  },
): Promise<EmbeddedChunk[]> {
  if (!embedder) return job.chunks.map((chunk) => ({ chunk, embedding: null, embedding_key: null }))
  const keys = job.chunks.map((chunk) => embeddingKey(embedder, job.instruction, chunk.text))
  const textOf = new Map(job.chunks.map((chunk, index) => [keys[index]!, chunk.text]))
  const vectors = await knownVectors(deps, [...textOf.keys()])
  const missing = [...textOf.keys()].filter((key) => !vectors.has(key))
  const embed = async (batch: string[]): Promise<Map<string, Float32Array>> => {
    const made = await embedder.embedPassages(
      batch.map((key) => textOf.get(key)!),
      { instruction: job.instruction, signal: job.signal },
    )
    const vectorsOfBatch = new Map(batch.map((key, index) => [key, made[index]!]))
    await keepVectors(deps.sql, job.jobId, vectorsOfBatch)
    return vectorsOfBatch
  }
  for await (const made of inTurn(batchesOf(missing, deps.batchSize), embed)) {
    for (const [key, vector] of made) vectors.set(key, vector)
    await job.onProgress(vectors.size, textOf.size)
  }
  return job.chunks.map((chunk, index) => ({
    chunk,
    embedding: vectors.get(keys[index]!)!,
    embedding_key: keys[index]!,
  }))
}

/** What `work` makes of each batch, in order. The next is begun before the last has ended: the model never waits. */
async function* inTurn<B, T>(batches: readonly B[], work: (batch: B) => Promise<T>): AsyncGenerator<T> {
  let begun: Promise<T> | undefined
  let next: Promise<T> | undefined
  try {
    for (const batch of batches) {
      next = work(batch)
      // Whoever stops at the first failure hears nothing of the second.
      next.catch(() => {})
      if (begun) yield begun
      begun = next
    }
    if (begun) yield begun
  } finally {
    // What it makes is kept, so it is waited for also when the one before has failed.
    await next?.catch(() => {})
  }
}

function batchesOf(keys: readonly string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(keys.length / size) }, (_, n) => keys.slice(n * size, (n + 1) * size))
}

async function knownVectors({ sql, graph }: EmbedDeps, keys: string[]): Promise<Map<string, Float32Array>> {
  const vectors = await cachedVectors(sql, keys)
  const rest = keys.filter((key) => !vectors.has(key))
  for (let at = 0; at < rest.length; at += KEYS_A_QUESTION) {
    for (const [key, vector] of await graph.reusableVectors(rest.slice(at, at + KEYS_A_QUESTION)))
      vectors.set(key, vector)
  }
  return vectors
}
