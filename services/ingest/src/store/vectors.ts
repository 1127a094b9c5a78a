import type { Sql } from '@mnemosyne/platform'
import type { IngestTables } from './tables.ts'

/** SQLite and PostgreSQL both take this many parameters. */
const KEYS_A_QUERY = 500

/** Vectors that this or another job in hand has made. Unknown keys are missing. */
export async function cachedVectors(
  sql: Sql<IngestTables>,
  keys: string[],
): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>()
  for (let at = 0; at < keys.length; at += KEYS_A_QUERY) {
    const rows = await sql.read
      .selectFrom('embedding_cache')
      .select(['embedding_key', 'vector'])
      .where('embedding_key', 'in', keys.slice(at, at + KEYS_A_QUERY))
      .execute()
    for (const { embedding_key, vector } of rows) found.set(embedding_key, toFloats(vector))
  }
  return found
}

/** Keeps vectors until their job ends, so that a killed worker's successor goes on where it was. */
export async function keepVectors(
  sql: Sql<IngestTables>,
  jobId: string,
  vectors: Map<string, Float32Array>,
): Promise<void> {
  if (vectors.size === 0) return
  const rows = [...vectors].map(([embedding_key, vector]) => ({
    embedding_key,
    job_id: jobId,
    vector: new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength),
  }))
  await sql.transaction(
    (tx) =>
      tx
        .insertInto('embedding_cache')
        .values(rows)
        .onConflict((conflict) => conflict.doNothing())
        .execute(),
    { durable: false },
  )
}

export async function dropVectors(sql: Sql<IngestTables>, jobId: string): Promise<void> {
  await sql.transaction((tx) => tx.deleteFrom('embedding_cache').where('job_id', '=', jobId).execute(), {
    durable: false,
  })
}

function toFloats(bytes: Uint8Array): Float32Array {
  return new Float32Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
  )
}
