import { checkDimensions } from '../content-check.ts'
import { DimensionMismatchError } from '../errors.ts'
import { int, type Neo4jConnection } from './connection.ts'
import { VECTOR_INDEX } from './schema.ts'

/** Servers from 2026 on filter inside the vector index; older ones do not know the syntax. */
export function filtersInIndex(agent: string): boolean {
  return Number(/^Neo4j\/(\d+)/.exec(agent)?.[1] ?? 0) >= 2026
}

/** See `GraphStore.setUpVectors`. */
export async function setUpVectors(
  db: Neo4jConnection,
  dimensions: number,
  { drop = false }: { drop?: boolean } = {},
): Promise<void> {
  checkDimensions(dimensions)
  const filtered = filtersInIndex(await db.serverAgent())
  const state = await indexState(db)
  if (state.stored !== null && state.stored !== dimensions) {
    throw new DimensionMismatchError(state.stored, dimensions)
  }
  const fits = state.exists && state.dimensions === dimensions && state.filtered === filtered
  if (fits && !(filtered && state.quantised) && !drop) return
  // Nobody is to ask an index that does not fit, or is not there.
  await note(db, null, filtered)
  await db.schema(`DROP INDEX ${VECTOR_INDEX} IF EXISTS`)
  // An index that filters keeps the vectors as they are, so that its order is that of their cosines: each release
  // quantises in another way by default (2026.08 to a bit a number), and all of a scope can be compared inside it.
  await db.schema(`${filtered ? 'CYPHER 25 ' : ''}CREATE VECTOR INDEX ${VECTOR_INDEX} IF NOT EXISTS
    FOR (c:Chunk) ON c.embedding ${filtered ? 'WITH [c.library_uid, c.collection_uid]' : ''}
    OPTIONS {indexConfig: {\`vector.dimensions\`: ${dimensions}, \`vector.similarity_function\`: 'cosine'
      ${filtered ? ', `vector.quantization.enabled`: false' : ''}}}`)
  await note(db, dimensions, filtered)
}

interface IndexState {
  /** Dimensions of the stored vectors. */
  stored: number | null
  exists: boolean
  dimensions: number | null
  filtered: boolean
  quantised: boolean
}

async function indexState(db: Neo4jConnection): Promise<IndexState> {
  return db.read(async (tx) => {
    const [store] = await tx.run<Omit<IndexState, 'exists' | 'quantised'>>(
      `MATCH (store:GraphStore {name: 'store'}) RETURN store.dimensions AS stored,
         store.index_dimensions AS dimensions, coalesce(store.index_filtered, false) AS filtered`,
    )
    const [index] = await tx.run<{ config: Record<string, unknown> }>(
      `SHOW VECTOR INDEXES YIELD name, options WHERE name = '${VECTOR_INDEX}' RETURN options.indexConfig AS config`,
    )
    return {
      ...store!,
      exists: index !== undefined,
      quantised: index !== undefined && isQuantised(index.config),
    }
  })
}

/** Servers before 2026.06 call it by another name. */
function isQuantised(config: Record<string, unknown>): boolean {
  return config['vector.quantization.type'] !== 'NONE' && config['vector.quantization.enabled'] !== false
}

async function note(db: Neo4jConnection, dimensions: number | null, filtered: boolean): Promise<void> {
  await db.write((tx) =>
    tx.run(
      `MATCH (store:GraphStore {name: 'store'})
       SET store.index_dimensions = $dimensions, store.index_filtered = $filtered`,
      { dimensions: dimensions === null ? null : int(dimensions), filtered },
    ),
  )
}
