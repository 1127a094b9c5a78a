import { conceptKey, titleConceptKey } from '@mnemosyne/graph/analysis'
import type { LibraryType } from '../chunking/chunk.ts'
import { isDate, isSpeaker } from '../chunking/strategies.ts'
import { type Block, renderDocument, type StructuredDocument } from '../document/document.ts'
import type { ConceptKind, ExtractedConcept } from './concept.ts'
import { CALENDAR_WORDS, FUNCTION_WORDS, NAME_CONNECTORS, NEVER_IN_NAMES } from './function-words.ts'

const SAMPLE_CHARACTERS = 100_000
const MAX_CONCEPTS = 400
const MAX_WORDS = 6
const MAX_PHRASE = 3
/** Longer table cells are running text. */
const LONG_CELL = 60
const TOKEN = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*|[.!?;:,()[\]"“”\n]/gu

/** "Figure 3" names something in this document only. */
const REFERENCE =
  /^(?:figures?|fig|tables?|parts?|sections?|chapters?|pages?|steps?|lines?|equations?|eq|appendix|listing) \S{1,4}$/

/** Last words of titles that have an "and" in them. */
const JOINED_TITLE = /^(?:Manual|Guide|Handbook)$/

const AUTHOR_TYPES: Record<LibraryType, string> = {
  fiction: 'author',
  nonfiction: 'author',
  technical: 'person',
  music: 'artist',
  film: 'director',
  art: 'artist',
  journal: 'person',
  business: 'person',
  finance: 'issuer',
}

/** Patterns of a library type whose matches are concepts of a known type. */
const PATTERNS: Partial<Record<LibraryType, [RegExp, string][]>> = {
  technical: [
    [/(?<![\w-])(?:[A-Z]{2,}-?\d{2,}|E[A-Z]{4,}|ERR_[A-Z_]{3,}|0x[0-9A-Fa-f]{4,8})(?![\w-])/g, 'error'],
    [/(?<=^[$#] )[a-z][\w.-]+(?: [a-z][\w-]+)?/gm, 'command'],
  ],
  journal: [[/\b\d{4}-\d{2}-\d{2}\b/g, 'date']],
  finance: [[/\b(?:FY ?\d{2,4}|[QH][1-4] ?(?:FY ?)?\d{4})\b/g, 'period']],
}

/**
 * The terms of a document that may become concepts, most telling first: its title, names by capital letters and
 * phrases of two or three words that come twice or more (RAKE-like runs between function words, less those that
 * come only inside a longer concept, after the C-value of Frantzi et al. 2000). Looks at the first 100,000
 * characters; at most 400.
 */
export function extractConcepts(
  document: Pick<StructuredDocument, 'blocks' | 'title' | 'authors'>,
  libraryType: LibraryType,
): ExtractedConcept[] {
  const found = new Collection()
  addTitle(found, document)
  for (const author of document.authors) found.add(author, 'named', AUTHOR_TYPES[libraryType])
  const withCode = sample(document.blocks, true)
  addPatterns(found, renderSample(withCode), libraryType)
  const blocks = sample(document.blocks, false)
  if (libraryType === 'journal' || libraryType === 'film') addLines(found, renderSample(blocks), libraryType)
  const passages = toPassages(blocks)
  const cases = countCases(passages)
  for (const passage of passages) addNames(found, passage, cases)
  for (const { tokens } of passages) addPhrases(found, tokens)
  return found.best(cases)
}

class Collection {
  readonly #byKey = new Map<
    string,
    { kind: ConceptKind; type: string; names: Map<string, number>; frequency: number }
  >()

  add(name: string, kind: ConceptKind, type = 'topic', key: string | null = conceptKey(name)): void {
    if (key === null || key.length < 3 || key.split(' ').length > MAX_WORDS) return
    const concept = this.#byKey.get(key)
    if (!concept) {
      this.#byKey.set(key, { kind, type, names: new Map([[name, 1]]), frequency: 1 })
      return
    }
    // The words of a name are a phrase too; it is counted once.
    if (kind === 'phrase' && concept.kind !== 'phrase') return
    concept.frequency += 1
    if (kind === 'phrase') return
    if (concept.kind === 'phrase') concept.kind = kind
    concept.names.set(name, (concept.names.get(name) ?? 0) + 1)
  }

  best(cases: Cases): ExtractedConcept[] {
    let concepts: ExtractedConcept[] = []
    for (const [key, { kind, type, names, frequency }] of this.#byKey) {
      if (!isTelling(key, kind, type, frequency, cases)) continue
      if (kind === 'named' && type === 'topic' && isShouted([...names.keys()], cases)) continue
      const name = [...names].reduce((most, each) => (each[1] > most[1] ? each : most))[0]
      concepts.push({ key, name, kind, concept_type: type, frequency })
    }
    const order: ConceptKind[] = ['title', 'named', 'phrase']
    const nested = nestedPhrases(concepts)
    concepts = concepts.filter(({ key }) => !nested.has(key))
    concepts.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || b.frequency - a.frequency)
    return share(concepts)
  }
}

/** An ordinary word in capitals: it is written small elsewhere. */
function isShouted(names: string[], cases: Cases): boolean {
  return names.every((name) => /^\p{Lu}{2,}$/u.test(name) && (cases.get(name.toLowerCase())?.lower ?? 0) > 0)
}

/** Phrases that never come but inside a longer concept. */
function nestedPhrases(concepts: ExtractedConcept[]): Set<string> {
  const phrases = new Map(
    concepts.flatMap(({ key, kind, frequency }) => (kind === 'phrase' ? [[key, frequency]] : [])),
  )
  const nested = new Set<string>()
  for (const { key, frequency } of concepts) {
    const words = key.split(' ')
    for (let size = 2; size < Math.min(words.length, MAX_PHRASE + 1); size += 1) {
      for (let from = 0; from + size <= words.length; from += 1) {
        const part = words.slice(from, from + size).join(' ')
        if ((phrases.get(part) ?? Number.POSITIVE_INFINITY) <= frequency) nested.add(part)
      }
    }
  }
  return nested
}

/** Names first, but leave a quarter to phrases where there are enough. */
function share(sorted: ExtractedConcept[]): ExtractedConcept[] {
  const phrases = sorted.filter(({ kind }) => kind === 'phrase')
  const others = sorted.filter(({ kind }) => kind !== 'phrase')
  const kept = others.slice(0, Math.max(MAX_CONCEPTS * 0.75, MAX_CONCEPTS - phrases.length))
  return [...kept, ...phrases.slice(0, MAX_CONCEPTS - kept.length)]
}

function isTelling(key: string, kind: ConceptKind, type: string, frequency: number, cases: Cases): boolean {
  const words = key.split(' ')
  if (kind === 'phrase' && frequency < 2) return false
  if (type !== 'topic') return true
  if (REFERENCE.test(key)) return false
  if (words.every((word) => FUNCTION_WORDS.has(word) || CALENDAR_WORDS.has(word) || /^\d+$/.test(word)))
    return false
  if (words.length > 1) return true
  const { upper = 0, lower = 0 } = cases.get(key) ?? {}
  if (kind === 'title') return !(lower > upper && lower > 3)
  return upper > lower
}

function addTitle(found: Collection, { title }: Pick<StructuredDocument, 'title'>): void {
  if (!title) return
  const name = title.replace(/\s*\([^)]*\)/g, '').trim()
  found.add(name, 'title', 'topic', titleConceptKey(title))
}

function sample(blocks: Block[], withCode: boolean): Block[] {
  const sampled: Block[] = []
  let length = 0
  for (const block of blocks) {
    if (length >= SAMPLE_CHARACTERS) break
    if (block.type === 'image' || (block.type === 'code' && !withCode)) continue
    sampled.push(block)
    length += roughLength(block)
  }
  return sampled
}

function renderSample(blocks: Block[]): string {
  return renderDocument({ blocks }).text.slice(0, SAMPLE_CHARACTERS)
}

function roughLength(block: Block): number {
  if ('text' in block) return block.text.length
  if (block.type === 'list') return block.items.reduce((sum, item) => sum + item.text.length, 0)
  return block.type === 'table' ? block.rows.reduce((sum, row) => sum + row.join('').length, 0) : 0
}

/** Text that no name or phrase reaches across. */
interface Passage {
  tokens: string[]
  /** Capitals tell names only in running text: headings and cells begin with one, or have one on every word. */
  isProse: boolean
}

function toPassages(blocks: Block[]): Passage[] {
  const passages: Passage[] = []
  let left = SAMPLE_CHARACTERS
  for (const [text, isProse] of passageTexts(blocks)) {
    if (left <= 0) break
    const tokens = Array.from(text.slice(0, left).matchAll(TOKEN), ([token]) => token)
    passages.push({ tokens, isProse })
    left -= text.length + 1
  }
  return passages
}

function* passageTexts(blocks: Block[]): Generator<[text: string, isProse: boolean]> {
  for (const block of blocks) {
    if (block.type === 'table') {
      for (const row of block.rows) for (const cell of row) yield [cell, cell.length > LONG_CELL]
    } else if (block.type === 'list') for (const { text } of block.items) yield [text, true]
    else if (block.type !== 'heading') yield ['text' in block ? block.text : '', true]
    else if (!isTitleCase(block.text)) yield [block.text, false]
  }
}

function isTitleCase(heading: string): boolean {
  const words = heading.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? []
  const own = words.filter((word) => !FUNCTION_WORDS.has(word) && !NAME_CONNECTORS.has(word))
  return own.every((word) => !/^\p{Ll}/u.test(word))
}

function addPatterns(found: Collection, text: string, libraryType: LibraryType): void {
  for (const [pattern, type] of PATTERNS[libraryType] ?? []) {
    for (const [match] of text.matchAll(pattern)) found.add(match, 'named', type)
  }
}

/** Lines that are a concept as a whole: the dates of a journal, the speakers of a film. */
function addLines(found: Collection, text: string, libraryType: 'journal' | 'film'): void {
  for (const line of text.split('\n')) {
    if (line.length > 60) continue
    if (libraryType === 'journal' && isDate(line)) found.add(line, 'named', 'date')
    if (libraryType === 'film' && isSpeaker(line))
      found.add(line.replace(/\s*\(.*$/, ''), 'named', 'character')
  }
}

/** How often a word stands in either case in mid-sentence. */
type Cases = Map<string, { upper: number; lower: number }>

function countCases(passages: Passage[]): Cases {
  const cases: Cases = new Map()
  for (const { tokens, isProse } of passages) if (isProse) addCases(cases, tokens)
  return cases
}

function addCases(cases: Cases, tokens: string[]): void {
  let start = true
  for (const token of tokens) {
    if (!isWord(token)) {
      start ||= endsSentence(token)
      continue
    }
    if (!start) {
      const key = token.toLowerCase()
      const count = cases.get(key) ?? { upper: 0, lower: 0 }
      if (isCapital(token)) count.upper += 1
      else count.lower += 1
      cases.set(key, count)
    }
    start = false
  }
}

/**
 * Runs of capitalised words, with small connectors and short numbers inside. The first word of a sentence counts
 * if it is usually a capital in mid-sentence or another capital follows.
 */
function addNames(found: Collection, { tokens, isProse }: Passage, cases: Cases): void {
  let start = true
  for (let index = 0; index < tokens.length; ) {
    const token = tokens[index]!
    if (!isWord(token)) {
      start ||= endsSentence(token)
      index += 1
      continue
    }
    const named =
      isCapital(token) &&
      !NEVER_IN_NAMES.has(token.toLowerCase()) &&
      (!start || startsName(tokens, index, cases))
    start = false
    if (!named) {
      index += 1
      continue
    }
    const end = titleEnd(tokens, nameEnd(tokens, index))
    const name = tokens
      .slice(index, end)
      .join(' ')
      .replace(/['’]s$/, '')
    if (isProse || /[\s\d]/.test(name)) found.add(name, 'named')
    index = end
  }
}

function startsName(tokens: string[], index: number, cases: Cases): boolean {
  const token = tokens[index]!
  if (/\d/.test(token)) return true
  const { upper = 0, lower = 0 } = cases.get(token.toLowerCase()) ?? {}
  const next = tokens[index + 1] ?? ''
  return upper > lower || (isCapital(next) && !/^I(?:['’]|$)/.test(next))
}

function nameEnd(tokens: string[], start: number): number {
  let end = start + 1
  for (let index = start + 1; index < tokens.length && isWord(tokens[index]!); index += 1) {
    const token = tokens[index]!
    if (/^I['’]/.test(token)) break
    if (isCapital(token) || /^\d{1,4}$/.test(token)) end = index + 1
    else if (!NAME_CONNECTORS.has(token) || index - end >= 2) break
  }
  return end
}

/** "Installation and Operation Manual" is one name. */
function titleEnd(tokens: string[], end: number): number {
  if (tokens[end] !== 'and' || !isCapital(tokens[end + 1] ?? '')) return end
  const joined = nameEnd(tokens, end + 1)
  return JOINED_TITLE.test(tokens[joined - 1]!) ? joined : end
}

/** Pairs and triples of words between function words and marks. */
function addPhrases(found: Collection, tokens: string[]): void {
  let run: string[] = []
  const flush = () => {
    for (let size = 2; size <= MAX_PHRASE; size += 1) {
      for (let from = 0; from + size <= run.length; from += 1) {
        const phrase = run.slice(from, from + size).join(' ')
        found.add(phrase, 'phrase')
      }
    }
    run = []
  }
  for (const token of tokens) {
    const word = token.toLowerCase()
    if (!isWord(token) || FUNCTION_WORDS.has(word) || /^\d+$/.test(word)) flush()
    else run.push(word)
  }
  flush()
}

function isWord(token: string): boolean {
  return /[\p{L}\p{N}]/u.test(token[0] ?? '')
}

function isCapital(token: string): boolean {
  return /^\p{Lu}/u.test(token)
}

function endsSentence(mark: string): boolean {
  return '.!?\n:"“”'.includes(mark)
}
