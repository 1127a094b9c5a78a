import { createHash } from 'node:crypto'
import { type RenderedDocument, renderDocument, type StructuredDocument } from '../document/document.ts'
import type { Chunk, ChunkingConfig, CountTokens } from './chunk.ts'
import { makeUnits } from './make-units.ts'
import { outline, type Section } from './outline.ts'
import { splitSentences } from './sentences.ts'
import { STRATEGIES, type Strategy } from './strategies.ts'
import { type Unit, UnitFactory } from './unit.ts'

/** What the models in use take, less special tokens. */
const HARD_MAX_TOKENS = 500
/** The part of a chunk that headings may fill. */
const PATH_SHARE = 0.25

/**
 * Cuts a document into chunks by its structure (README.md in this folder has the rules).
 * Every character of the rendered text but white space is in the body of a chunk, or is a heading in the path of
 * one. Time grows linearly with the text.
 */
export function chunkDocument(
  itemUid: string,
  document: Pick<StructuredDocument, 'blocks' | 'title'>,
  config: ChunkingConfig,
  countTokens: CountTokens,
  rendered: RenderedDocument = renderDocument(document),
): Chunk[] {
  const strategy = STRATEGIES[config.strategy]
  const max = Math.min(config.max_tokens, HARD_MAX_TOKENS)
  const sizes = {
    max,
    target: Math.min(config.target_tokens, max),
    min: config.min_tokens,
    overlap: config.overlap_tokens,
  }
  const make = new UnitFactory(rendered.text, countTokens)
  const units = makeUnits(
    outline(document, rendered, strategy),
    { ...config, max_tokens: max },
    strategy,
    make,
  )
  const paths = new Paths(make, max * PATH_SHARE)
  const drafts = mergeSmall(new Packer(make, paths, sizes).pack(units), strategy, sizes, paths)
  const writer = new ChunkWriter(itemUid, rendered.text, countTokens, paths, max)
  for (const draft of drafts) writer.write(draft.units, draft.section)
  return writer.chunks
}

interface Sizes {
  target: number
  max: number
  min: number
  overlap: number
}

interface Draft {
  section: Section
  units: Unit[]
}

/** The heading line of each section: the whole path, or the innermost headings that fit. */
class Paths {
  readonly #make: UnitFactory
  readonly #limit: number
  readonly #known = new Map<Section, { text: string; tokens: number; shown: Set<Section> }>()

  constructor(make: UnitFactory, limit: number) {
    this.#make = make
    this.#limit = limit
  }

  of(section: Section): { text: string; tokens: number; shown: Set<Section> } {
    const known = this.#known.get(section)
    if (known) return known
    const shown = new Set<Section>()
    const titles: string[] = []
    let tokens = 0
    for (let each: Section | undefined = section; each?.parent; each = each.parent) {
      tokens += this.#make.countTokens(each.title) + 1
      if (tokens > this.#limit) {
        if (titles.length > 0) titles.unshift('…')
        break
      }
      titles.unshift(each.title)
      shown.add(each)
    }
    const text = titles.join(' > ')
    const path = { text, tokens: text === '' ? 0 : this.#make.countTokens(text), shown }
    this.#known.set(section, path)
    return path
  }

  /** Tokens of a chunk of these units: path, repeated context, and all but the leading headings of the path. */
  cost(units: Unit[], section: Section): number {
    const { tokens, shown } = this.of(section)
    const body = units.slice(leadingHeadings(units, shown))
    const context = body[0]?.context ? this.#make.countTokens(body[0].context) : 0
    return body.reduce((sum, unit) => sum + unit.tokens, tokens + context)
  }
}

function leadingHeadings(units: Unit[], shown: Set<Section>): number {
  let count = 0
  while (count < units.length && units[count]!.kind === 'heading' && shown.has(units[count]!.section))
    count += 1
  return count
}

/** Fills drafts with units up to the target, section by section. */
class Packer {
  readonly #make: UnitFactory
  readonly #paths: Paths
  readonly #sizes: Sizes
  readonly #drafts: Draft[] = []
  #units: Unit[] = []
  #section: Section | undefined
  #tokens = 0

  constructor(make: UnitFactory, paths: Paths, sizes: Sizes) {
    this.#make = make
    this.#paths = paths
    this.#sizes = sizes
  }

  pack(units: Unit[]): Draft[] {
    for (const unit of units) {
      if (unit.kind === 'heading') this.#openSection(unit)
      else this.#add(unit)
      if (unit.breakAfter) this.#close()
    }
    this.#close()
    return this.#drafts
  }

  /** A heading stays with the text below it; a heading above a deeper one stays with that. */
  #openSection(heading: Unit): void {
    const onlyHeadings = this.#units.every((unit) => unit.kind === 'heading')
    if (!onlyHeadings || !isWithin(heading.section, this.#section)) this.#close()
    this.#append(heading)
  }

  #add(unit: Unit): void {
    const { target, max, min } = this.#sizes
    if (this.#tokensWith(unit) <= target) {
      this.#append(unit)
      return
    }
    const isEmpty = this.#units.every((each) => each.kind === 'heading' || each.overlap)
    const limit = unit.whole ? max : target
    // A line or two above a listing or a table stay with it.
    if ((isEmpty || (unit.whole && this.#tokens < min)) && this.#tokensWith(unit) <= limit) this.#append(unit)
    else if (this.#costAlone(unit) <= limit) {
      const overlap = this.#overlap(unit)
      if (isEmpty) this.#units = this.#units.filter((each) => !each.overlap)
      else this.#close()
      if (overlap) this.#append(overlap)
      this.#append(unit)
    } else this.#addParts(unit)
  }

  #addParts(unit: Unit): void {
    const parts = unit.split()
    if (parts.length === 0) this.#append(unit)
    for (const part of parts) this.#add(part)
  }

  #append(unit: Unit): void {
    if (this.#units.length === 0 || unit.kind === 'heading') this.#section = unit.section
    this.#units.push(unit)
    this.#tokens =
      this.#units.length === 1 || unit.kind === 'heading'
        ? this.#paths.cost(this.#units, unit.section)
        : this.#tokens + unit.tokens
  }

  #tokensWith(unit: Unit): number {
    return this.#units.length === 0 ? this.#costAlone(unit) : this.#tokens + unit.tokens
  }

  #costAlone(unit: Unit): number {
    return this.#paths.cost([unit], unit.section)
  }

  /** The last sentences of the draft, where running text goes on in the next. */
  #overlap(next: Unit): Unit | undefined {
    const last = this.#units.at(-1)
    const { overlap, target } = this.#sizes
    if (overlap === 0 || !last || last.kind !== 'prose' || next.kind !== 'prose' || last.overlap)
      return undefined
    if (last.end - last.start > overlap * 200) return undefined
    let [tokens, start] = [0, last.end]
    for (const sentence of splitSentences(this.#make.slice(last), 0, last.end - last.start).reverse()) {
      tokens += this.#make.tokens({ start: last.start + sentence.start, end: last.start + sentence.end })
      if (tokens > overlap || tokens + this.#costAlone(next) > target) break
      start = last.start + sentence.start
    }
    if (start === last.end) return undefined
    return this.#make.text({ start, end: last.end }, last, { overlap: true })
  }

  #close(): void {
    if (this.#units.some((unit) => !unit.overlap))
      this.#drafts.push({ section: this.#section!, units: this.#units })
    this.#units = []
    this.#tokens = 0
  }
}

function isWithin(section: Section, ancestor: Section | undefined): boolean {
  for (let each: Section | undefined = section; each; each = each.parent) if (each === ancestor) return true
  return false
}

/** Joins drafts too small to stand alone with a neighbour of the same section or under the same parent. */
function mergeSmall(drafts: Draft[], strategy: Strategy, sizes: Sizes, paths: Paths): Draft[] {
  const merged: Draft[] = []
  for (const draft of drafts) {
    const last = merged.at(-1)
    const joint = last && join(last, draft, strategy, sizes, paths)
    if (joint) merged[merged.length - 1] = joint
    else merged.push(draft)
  }
  return merged
}

function join(
  a: Draft,
  b: Draft,
  strategy: Strategy,
  { min, target, max }: Sizes,
  paths: Paths,
): Draft | undefined {
  const sameSection = a.section === b.section
  if (!sameSection && strategy.merge === 'none') return undefined
  const section = sharedSection(a.section, b.section)
  if (!section) return undefined
  const anySize = !sameSection && strategy.merge === 'any'
  if (!anySize && paths.cost(a.units, a.section) >= min && paths.cost(b.units, b.section) >= min)
    return undefined
  const units = [...a.units, ...b.units.filter((unit) => !unit.overlap)]
  return paths.cost(units, section) <= (sameSection ? max : target) ? { section, units } : undefined
}

function sharedSection(a: Section, b: Section): Section | undefined {
  if (a === b || b.parent === a) return a
  return a.parent === b.parent ? a.parent : undefined
}

/** Turns drafts into chunks; what comes out too long after all is halved. */
class ChunkWriter {
  readonly chunks: Chunk[] = []
  readonly #occurrences = new Map<string, number>()
  readonly #itemUid: string
  readonly #text: string
  readonly #count: CountTokens
  readonly #paths: Paths
  readonly #max: number

  constructor(itemUid: string, text: string, count: CountTokens, paths: Paths, max: number) {
    this.#itemUid = itemUid
    this.#text = text
    this.#count = count
    this.#paths = paths
    this.#max = max
  }

  write(units: Unit[], section: Section): void {
    const path = this.#paths.of(section)
    const body = units.slice(leadingHeadings(units, path.shown))
    if (body.length === 0) {
      this.#writeBareHeading(units, section)
      return
    }
    const [first, last] = [body[0]!, body.at(-1)!]
    const bodyText = this.#text.slice(first.start, last.end)
    const withContext = first.context === undefined ? bodyText : `${first.context}\n${bodyText}`
    const text = path.text === '' ? withContext : `${path.text}\n\n${withContext}`
    const tokens = this.#count(text)
    if (tokens > this.#max && this.#writeHalves(body, section)) return
    this.chunks.push({
      chunk_uid: this.#uid(text),
      chunk_index: this.chunks.length,
      text,
      section_path: section.path,
      ...(first.page !== undefined && { page: first.page }),
      char_start: first.start,
      char_end: last.end,
      token_count: tokens,
    })
  }

  /** A section of nothing but its heading: the heading is the text. */
  #writeBareHeading(units: Unit[], section: Section): void {
    const heading = units.at(-1)!
    this.write([{ ...heading, kind: 'prose' }], section.parent ?? section)
  }

  /** Token counts do not add up exactly in every tokenizer. */
  #writeHalves(body: Unit[], section: Section): boolean {
    const parts = body.length > 1 ? body : body[0]!.split()
    if (parts.length < 2) return false
    const middle = Math.ceil(parts.length / 2)
    this.write(parts.slice(0, middle), section)
    this.write(parts.slice(middle), section)
    return true
  }

  #uid(text: string): string {
    const digest = createHash('sha256').update(text).digest('base64')
    const occurrence = this.#occurrences.get(digest) ?? 0
    this.#occurrences.set(digest, occurrence + 1)
    return chunkUid(this.#itemUid, text, occurrence)
  }
}

/** A UUID of version 8 (RFC 9562, 5.8) from the SHA-256 of item, text and which of its occurrences this is. */
export function chunkUid(itemUid: string, text: string, occurrence: number): string {
  const bytes = createHash('sha256').update(`${itemUid}\0${occurrence}\0${text}`).digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
