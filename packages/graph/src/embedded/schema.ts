/**
 * The tables, in steps: entry n brings a store of schema n to schema n + 1. A step is never edited once released.
 *
 * Full text. `terms` numbers every analysed term and counts the chunks that hold it. `texts` keeps each chunk as a
 * sequence of term numbers, for exact scoring. `chunk_text` is the FTS5 index over the same numbers written in
 * base 36, so that no text of a document or a query ever meets FTS5's syntax; its column `scope` holds `l<library>`
 * and `c<collection>`, which makes the scope part of the index look-up.
 *
 * Changes. `chunk_changes` tells a reader which chunks to look at again since the version of a library that it holds
 * in memory.
 *
 * Concepts. `concept_counts` is the number of mentioning chunks by library, so that a count over a scope is a sum
 * of few rows.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE libraries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: readers know a library's vectors by it
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    library_type TEXT NOT NULL,
    description TEXT NOT NULL,
    workspace_id TEXT UNIQUE,
    owner_username TEXT,
    chunking_config TEXT NOT NULL,
    embedding_instruction TEXT NOT NULL,
    reranker_instruction TEXT NOT NULL,
    llm_context_prompt TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    vector_version INTEGER NOT NULL DEFAULT 0,
    deleting INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX libraries_by_owner ON libraries (owner_username);

  CREATE TABLE collections (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    library_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX collections_by_library ON collections (library_id, name);

  CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    library_id INTEGER NOT NULL,
    collection_id INTEGER,
    title TEXT NOT NULL,
    title_key TEXT,
    item_type TEXT NOT NULL,
    file_type TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    s3_key TEXT,
    content_hash TEXT,
    source TEXT NOT NULL,
    source_ref TEXT,
    metadata TEXT NOT NULL,
    embedding_status TEXT NOT NULL,
    embedding_model TEXT,
    error TEXT,
    chunk_count INTEGER NOT NULL DEFAULT 0,
    image_count INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX items_by_library ON items (library_id, title, uid);
  CREATE INDEX items_by_collection ON items (collection_id, title, uid);
  CREATE INDEX items_by_source_ref ON items (source_ref);

  CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    item_id INTEGER NOT NULL,
    library_id INTEGER NOT NULL,
    chunk_index INTEGER NOT NULL,
    page INTEGER,
    char_start INTEGER NOT NULL,
    char_end INTEGER NOT NULL,
    token_count INTEGER NOT NULL,
    s3_key TEXT,
    section_path TEXT NOT NULL,
    text TEXT NOT NULL
  ) STRICT;
  CREATE INDEX chunks_by_item ON chunks (item_id, chunk_index);
  CREATE INDEX chunks_by_library ON chunks (library_id);

  CREATE TABLE vectors (
    chunk_id INTEGER PRIMARY KEY,
    library_id INTEGER NOT NULL,
    embedding_key TEXT,
    vector BLOB NOT NULL
  ) STRICT;
  CREATE INDEX vectors_by_library ON vectors (library_id);
  CREATE INDEX vectors_by_key ON vectors (embedding_key) WHERE embedding_key IS NOT NULL;

  CREATE TABLE vector_changes (
    library_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    chunk_id INTEGER NOT NULL,
    PRIMARY KEY (library_id, version, chunk_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE terms (
    id INTEGER PRIMARY KEY,
    term TEXT NOT NULL UNIQUE,
    df INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE texts (
    chunk_id INTEGER PRIMARY KEY,
    length INTEGER NOT NULL,
    terms BLOB NOT NULL
  ) STRICT;

  CREATE VIRTUAL TABLE chunk_text USING fts5 (
    scope, body, content = '', contentless_delete = 1, tokenize = 'ascii'
  );

  CREATE TABLE concepts (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    concept_type TEXT
  ) STRICT;

  CREATE VIRTUAL TABLE concept_name USING fts5 (
    key, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
  );

  CREATE TABLE mentions (
    chunk_id INTEGER NOT NULL,
    concept_id INTEGER NOT NULL,
    PRIMARY KEY (chunk_id, concept_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE mentioned (
    concept_id INTEGER NOT NULL,
    library_id INTEGER NOT NULL,
    chunk_id INTEGER NOT NULL,
    PRIMARY KEY (concept_id, library_id, chunk_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE concept_counts (
    concept_id INTEGER NOT NULL,
    library_id INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    PRIMARY KEY (concept_id, library_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX concept_counts_by_library ON concept_counts (library_id, concept_id);

  CREATE TABLE totals (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO totals VALUES ('chunks', 0), ('length', 0), ('vectors', 0), ('dimensions', 0);
  `,
  // Readers hold the texts in memory too: what lists changed vectors now lists changed chunks.
  `
  ALTER TABLE vector_changes RENAME TO chunk_changes;
  ALTER TABLE libraries RENAME COLUMN vector_version TO chunk_version;
  `,
]
