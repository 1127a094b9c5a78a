import { NewerSchemaError } from '../errors.ts'
import type { Neo4jConnection } from './connection.ts'

/**
 * What is stored.
 *
 * (Library)-[:CONTAINS]->(Collection)-[:CONTAINS]->(Item)-[:HAS_CHUNK]->(Chunk)-[:MENTIONS]->(Concept)
 *
 * Generations. A server shows a transaction's changes one by one, so a swap of content is made of what is not seen
 * yet. Chunks of a new generation are stored beside those of the present one; `HAS_CHUNK` holds the generation (and
 * the chunk's place in the item), and a chunk is seen while that is the `gen` of its item. One small transaction
 * changes `Item.gen`, and `Chunk.live`, by which concepts are counted. What it leaves behind is removed half a minute later, when no question can still be looking at it.
 *
 * Scope. `library_uid` and `collection_uid` stand on items and chunks; `Chunk.scope` holds them as words of the
 * full-text index.
 *
 * Full text. `Chunk.terms` are the analysed terms, the title twice, `|` where a phrase must not run on. `Term` counts the
 * chunks that hold a term; `GraphStore` and `Library` hold the totals.
 */
export const SCHEMA_VERSION = 1
export const VECTOR_INDEX = 'chunk_embedding_index'
export const TEXT_INDEX = 'chunk_text_fulltext'
export const CONCEPT_INDEX = 'concept_name_fulltext'

const unique = (label: string, property: string) =>
  `CREATE CONSTRAINT ${label.toLowerCase()}_${property}_unique IF NOT EXISTS
   FOR (n:${label}) REQUIRE n.${property} IS UNIQUE`
const lookup = (label: string, property: string, kind = '') =>
  `CREATE ${kind} INDEX ${label.toLowerCase()}_${property} IF NOT EXISTS FOR (n:${label}) ON (n.${property})`
const fullText = (name: string, label: string, properties: string[], analyser: string) =>
  `CREATE FULLTEXT INDEX ${name} IF NOT EXISTS FOR (n:${label})
   ON EACH [${properties.map((property) => `n.${property}`).join(', ')}]
   OPTIONS {indexConfig: {\`fulltext.analyzer\`: '${analyser}', \`fulltext.eventually_consistent\`: false}}`

const STATEMENTS = [
  unique('GraphStore', 'name'),
  unique('Library', 'uid'),
  unique('Library', 'workspace_id'),
  unique('Collection', 'uid'),
  unique('Item', 'uid'),
  unique('Chunk', 'uid'),
  unique('Concept', 'uid'),
  unique('Concept', 'key'),
  unique('Term', 'term'),
  lookup('Library', 'owner_username'),
  // Of any length, which a range index does not take.
  lookup('Item', 'source_ref', 'TEXT'),
  lookup('Collection', 'library_uid'),
  lookup('Item', 'library_uid'),
  lookup('Item', 'collection_uid'),
  lookup('Item', 'stale_since'),
  lookup('Item', 'retired'),
  lookup('Chunk', 'library_uid'),
  lookup('Chunk', 'collection_uid'),
  lookup('Chunk', 'embedding_key'),
  lookup('Concept', 'created_ms'),
  `CREATE INDEX has_chunk_place IF NOT EXISTS FOR ()-[h:HAS_CHUNK]-() ON (h.place)`,
  fullText(TEXT_INDEX, 'Chunk', ['scope', 'terms'], 'whitespace'),
  fullText(CONCEPT_INDEX, 'Concept', ['key'], 'whitespace'),
  fullText('item_title_fulltext', 'Item', ['title'], 'standard-no-stop-words'),
  fullText('library_name_fulltext', 'Library', ['name'], 'standard-no-stop-words'),
]

/**
 * Makes what is missing; several processes may do so at once.
 * @throws NewerSchemaError
 */
export async function ensureSchema(db: Neo4jConnection): Promise<void> {
  const found = await storedVersion(db)
  if (found > SCHEMA_VERSION) throw new NewerSchemaError(found, SCHEMA_VERSION)
  if (found === SCHEMA_VERSION) return
  for (const statement of STATEMENTS) await db.schema(statement)
  await db.schema('CALL db.awaitIndexes(60)')
  await db.write((tx) =>
    tx.run(
      `MERGE (store:GraphStore {name: 'store'})
       ON CREATE SET store.chunks = 0, store.length = 0, store.embedded = 0
       SET store.schema_version = CASE WHEN coalesce(store.schema_version, 0) < ${SCHEMA_VERSION}
         THEN ${SCHEMA_VERSION} ELSE store.schema_version END`,
    ),
  )
}

async function storedVersion(db: Neo4jConnection): Promise<number> {
  const [row] = await db.read((tx) =>
    tx.run<{ version: number }>(
      "MATCH (store:GraphStore {name: 'store'}) RETURN store.schema_version AS version",
    ),
  )
  return row?.version ?? 0
}
