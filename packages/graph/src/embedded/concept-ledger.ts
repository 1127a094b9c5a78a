import { conceptKey } from '../analysis/concept-keys.ts'
import { phraseTerms } from '../analysis/query.ts'
import {
  ChunkText,
  conceptUid,
  KeyFilter,
  keysIn,
  MAX_BACK_LINKS,
  namesKey,
  STRENGTH,
  TEXTS_KEPT,
} from '../concept-names.ts'
import type { ConceptContent, ConceptKind } from '../port.ts'
import type { Database } from './database.ts'

interface StoredConcept {
  id: number
  name: string
  kind: ConceptKind
  concept_type: string | null
}

export interface NewConcept {
  id: number
  key: string
}

/** Concepts, and which chunk mentions which, for one transaction at a time. */
export class ConceptLedger {
  readonly #db: Database
  readonly #keys: KeyFilter
  /** Changes to `concept_counts`: library → concept → by how many. */
  readonly #changes = new Map<number, Map<number, number>>()
  readonly #touched = new Set<number>()

  constructor(db: Database) {
    this.#db = db
    this.#keys = new KeyFilter()
    for (const { key } of db.all<{ key: string }>('SELECT key FROM concepts')) this.#keys.add(key)
  }

  /** Creates or strengthens concepts. @returns those that are new to the store. */
  put(concepts: ConceptContent[]): NewConcept[] {
    const created: NewConcept[] = []
    for (const concept of concepts) {
      const key = conceptKey(concept.key)
      if (key === null) continue
      const stored = this.#db.get<StoredConcept & { id: number }>(
        'SELECT id, name, kind, concept_type FROM concepts WHERE key = ?',
        key,
      )
      if (stored) this.#strengthen(stored, concept)
      else created.push({ id: this.#create(key, concept), key })
    }
    return created
  }

  /** Concepts of the store that a text names. */
  namedIn(text: string): Set<number> {
    const found = new Set<number>()
    for (const key of keysIn(text, this.#keys)) {
      const id = this.idOf(key)
      if (id !== undefined) found.add(id)
    }
    return found
  }

  idOf(key: string): number | undefined {
    return this.#db.get<{ id: number }>('SELECT id FROM concepts WHERE key = ?', key)?.id
  }

  /** Makes `wanted` the concepts that the chunk mentions. */
  relink(chunk: number, library: number, wanted: ReadonlySet<number>): void {
    const linked = this.#linkedTo(chunk)
    for (const concept of linked) {
      if (wanted.has(concept)) continue
      this.#db.run('DELETE FROM mentions WHERE chunk_id = ? AND concept_id = ?', chunk, concept)
      this.#unlisted(chunk, library, concept)
    }
    for (const concept of wanted) if (!linked.has(concept)) this.#link(chunk, library, concept)
  }

  /** Removes all links of a chunk. @returns how many there were. */
  unlink(chunk: number, library: number): number {
    for (const concept of this.#linkedTo(chunk)) this.#unlisted(chunk, library, concept)
    return this.#db.run('DELETE FROM mentions WHERE chunk_id = ?', chunk).changes
  }

  /**
   * Links concepts that are new to the chunks in the store that name them. Candidates come from the full-text
   * index (which stems, and skips stop words); the words decide.
   */
  linkBack(concepts: NewConcept[]): void {
    const texts = new Map<number, ChunkText>()
    for (const { id, key } of concepts) {
      const phrase = this.#indexedPhrase(key)
      if (phrase === null) continue
      const candidates = this.#db.all<{ rowid: number }>(
        'SELECT rowid FROM chunk_text WHERE chunk_text MATCH ? LIMIT ?',
        `body:"${phrase}"`,
        MAX_BACK_LINKS,
      )
      const names = namesKey(key)
      for (const { rowid } of candidates)
        if (names(this.#textOf(rowid, texts))) this.#linkIfMissing(rowid, id)
    }
  }

  /** Writes the counts; concepts that nothing mentions any more go. @returns how many went. */
  settle(): number {
    for (const [library, changes] of this.#changes) {
      for (const [concept, change] of changes) if (change !== 0) this.#applyCount(library, concept, change)
    }
    let gone = 0
    for (const concept of this.#touched) {
      if (this.#db.get('SELECT 1 FROM concept_counts WHERE concept_id = ? LIMIT 1', concept)) continue
      gone += this.#db.run('DELETE FROM concepts WHERE id = ?', concept).changes
      this.#db.run('DELETE FROM concept_name WHERE rowid = ?', concept)
    }
    this.reset()
    return gone
  }

  /** Forgets what a rolled back transaction counted. */
  reset(): void {
    this.#changes.clear()
    this.#touched.clear()
  }

  #create(key: string, { name, kind, concept_type }: ConceptContent): number {
    const { id } = this.#db.run(
      'INSERT INTO concepts (uid, key, name, kind, concept_type) VALUES (?, ?, ?, ?, ?)',
      conceptUid(key),
      key,
      name.toWellFormed(),
      kind,
      concept_type ?? null,
    )
    this.#db.run('INSERT INTO concept_name (rowid, key) VALUES (?, ?)', id, key)
    this.#keys.add(key)
    this.#touched.add(id)
    return id
  }

  #strengthen(stored: StoredConcept, { name, kind, concept_type }: ConceptContent): void {
    if (STRENGTH[kind] > STRENGTH[stored.kind]) {
      this.#db.run(
        'UPDATE concepts SET kind = ?, name = ? WHERE id = ?',
        kind,
        name.toWellFormed(),
        stored.id,
      )
    }
    if (concept_type && stored.concept_type === null) {
      this.#db.run('UPDATE concepts SET concept_type = ? WHERE id = ?', concept_type, stored.id)
    }
  }

  #linkedTo(chunk: number): Set<number> {
    const rows = this.#db.all<{ concept_id: number }>(
      'SELECT concept_id FROM mentions WHERE chunk_id = ?',
      chunk,
    )
    return new Set(rows.map((row) => row.concept_id))
  }

  #unlisted(chunk: number, library: number, concept: number): void {
    this.#db.run(
      'DELETE FROM mentioned WHERE concept_id = ? AND library_id = ? AND chunk_id = ?',
      concept,
      library,
      chunk,
    )
    this.#change(library, concept, -1)
  }

  #link(chunk: number, library: number, concept: number): void {
    this.#db.run('INSERT INTO mentions (chunk_id, concept_id) VALUES (?, ?)', chunk, concept)
    this.#db.run(
      'INSERT INTO mentioned (concept_id, library_id, chunk_id) VALUES (?, ?, ?)',
      concept,
      library,
      chunk,
    )
    this.#change(library, concept, 1)
  }

  #linkIfMissing(chunk: number, concept: number): void {
    if (this.#db.get('SELECT 1 FROM mentions WHERE chunk_id = ? AND concept_id = ?', chunk, concept)) return
    const { library_id } = this.#db.get<{ library_id: number }>(
      'SELECT library_id FROM chunks WHERE id = ?',
      chunk,
    )!
    this.#link(chunk, library_id, concept)
  }

  #change(library: number, concept: number, by: number): void {
    let changes = this.#changes.get(library)
    if (!changes) {
      changes = new Map()
      this.#changes.set(library, changes)
    }
    changes.set(concept, (changes.get(concept) ?? 0) + by)
    if (by < 0) this.#touched.add(concept)
  }

  #applyCount(library: number, concept: number, change: number): void {
    const { chunks } = this.#db.get<{ chunks: number }>(
      `INSERT INTO concept_counts (concept_id, library_id, chunks) VALUES (?, ?, ?)
       ON CONFLICT (concept_id, library_id) DO UPDATE SET chunks = chunks + excluded.chunks RETURNING chunks`,
      concept,
      library,
      change,
    )!
    if (chunks > 0) return
    this.#db.run('DELETE FROM concept_counts WHERE concept_id = ? AND library_id = ?', concept, library)
  }

  /** The key's terms as the index spells them; null when one is in no chunk. */
  #indexedPhrase(key: string): string | null {
    const spelled: string[] = []
    for (const term of phraseTerms(key)) {
      const row = this.#db.get<{ id: number }>('SELECT id FROM terms WHERE term = ?', term)
      if (!row) return null
      spelled.push(row.id.toString(36))
    }
    return spelled.length > 0 ? spelled.join(' ') : null
  }

  #textOf(chunk: number, kept: Map<number, ChunkText>): ChunkText {
    const known = kept.get(chunk)
    if (known) return known
    const row = this.#db.get<{ title: string; text: string }>(
      'SELECT items.title, chunks.text FROM chunks JOIN items ON items.id = chunks.item_id WHERE chunks.id = ?',
      chunk,
    )!
    const text = new ChunkText(row.title, row.text)
    if (kept.size < TEXTS_KEPT) kept.set(chunk, text)
    return text
  }
}
