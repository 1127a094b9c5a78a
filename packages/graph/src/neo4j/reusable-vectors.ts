import type { Transaction } from './connection.ts'
import { givenVector } from './vectors.ts'

/** See `GraphStore.reusableVectors`. */
export async function reusableVectors(tx: Transaction, keys: string[]): Promise<Map<string, Float32Array>> {
  const rows = await tx.run<{ key: string; embedding: number[]; scale: number | null }>(
    `UNWIND $keys AS key
     CALL (key) { MATCH (c:Chunk {embedding_key: key}) WHERE c.embedding IS NOT NULL RETURN c LIMIT 1 }
     RETURN key, c.embedding AS embedding, c.scale AS scale`,
    { keys: [...new Set(keys)] },
  )
  const found = new Map(rows.map((row) => [row.key, givenVector(row)]))
  return new Map(keys.flatMap((key) => (found.has(key) ? [[key, found.get(key)!] as const] : [])))
}
