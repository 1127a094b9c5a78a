import { createHash } from 'node:crypto'
import { conceptKey, eachKey, MAX_CONCEPT_WORDS } from '../analysis/concept-keys.ts'
import { phraseTerms } from '../analysis/query.ts'
import { isAscii, normalise, words } from '../analysis/words.ts'
import type { ConceptContent, ConceptKind } from '../port.ts'
import type { Database } from './database.ts'

/** Chunks of the store that a new concept is linked to, at most. */
const MAX_BACK_LINKS = 1_000
/** Words of a chunk that are looked at for concepts. */
const MAX_WORDS = 50_000
/** Chunks whose text is kept while the new concepts of one item are linked back. */
const TEXTS_KEPT = 5_000
const STRENGTH: Record<ConceptKind, number> = { phrase: 0, named: 1, title: 2 }

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
    const seen = new Set<string>()
    eachKey(words(text).slice(0, MAX_WORDS), MAX_CONCEPT_WORDS, (key) => {
      if (!this.#keys.mayHold(key) || seen.has(key)) return
      seen.add(key)
      const id = this.idOf(key)
      if (id !== undefined) found.add(id)
    })
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

/** A chunk's title and text, made ready for the two ways of looking for a name as far as they are used. */
class ChunkText {
  readonly #parts: string[]
  #ascii: string | null | undefined
  #spelling: string | undefined

  constructor(...parts: string[]) {
    this.#parts = parts
  }

  /** In lower case, without clitics; null when there is more in it than ASCII. */
  get ascii(): string | null {
    if (this.#ascii === undefined) {
      const joined = this.#parts.map(normalise).join(' \0 ').toLowerCase()
      this.#ascii = isAscii(joined) ? joined : null
    }
    return this.#ascii
  }

  /** Words between single spaces, the parts apart. */
  get spelling(): string {
    this.#spelling ??= this.#parts.map((part) => ` ${words(part).slice(0, MAX_WORDS).join(' ')} `).join('\n')
    return this.#spelling
  }
}

/**
 * Whether a chunk names the key. Most text is ASCII, where a pattern finds the words twenty times as fast as taking
 * the text apart.
 */
function namesKey(key: string): (text: ChunkText) => boolean {
  if (!/^[a-z0-9 ]{1,60}$/.test(key)) return (text) => text.spelling.includes(` ${key} `)
  const pattern = new RegExp(`(?<![a-z0-9])${key.replaceAll(' ', '[^a-z0-9\\0]+')}(?![a-z0-9])`)
  return (text) => (text.ascii === null ? text.spelling.includes(` ${key} `) : pattern.test(text.ascii))
}

/** Uid of a concept: the same in every store, as the key is. Knowing it opens nothing; the scope does. */
function conceptUid(key: string): string {
  const hex = createHash('sha256').update(`concept\n${key}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/**
 * Says of most runs of words at once that no concept has that key (a Bloom filter of 4 MB with two hashes): a page has
 * some thousand runs, of which few are concepts. Deleted keys stay in it until the store is opened again.
 */
class KeyFilter {
  readonly #bits = new Uint8Array(1 << 22)

  add(key: string): void {
    for (const bit of this.#positions(key)) this.#bits[bit >>> 3]! |= 1 << (bit & 7)
  }

  mayHold(key: string): boolean {
    const [first, second] = this.#positions(key)
    return (
      (this.#bits[first >>> 3]! & (1 << (first & 7))) !== 0 &&
      (this.#bits[second >>> 3]! & (1 << (second & 7))) !== 0
    )
  }

  /** FNV-1a, and a second hash mixed from it. */
  #positions(key: string): [number, number] {
    let hash = 0x811c9dc5
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
    let second = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    second ^= second >>> 13
    return [hash >>> 7, Math.imul(second, 0xc2b2ae35) >>> 7]
  }
}
