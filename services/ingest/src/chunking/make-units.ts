import type { Block, TextRange } from '../document/document.ts'
import type { ChunkingConfig, KeepWhole } from './chunk.ts'
import type { Passage } from './outline.ts'
import { splitLines } from './sentences.ts'
import { isDialogue, isSongPart, isSpeaker, type Strategy } from './strategies.ts'
import type { Unit, UnitFactory } from './unit.ts'

const MAX_CONTEXT_TOKENS = 100
const MAX_CAPTION_TOKENS = 60

/** The units of a document in reading order, with what belongs together grouped. */
export function makeUnits(
  passages: Passage[],
  config: ChunkingConfig,
  strategy: Strategy,
  make: UnitFactory,
): Unit[] {
  const keep = new Set(config.keep_whole)
  const units: Unit[] = []
  for (let index = 0; index < passages.length; ) {
    const run = runLength(passages, index, keep)
    const members = passages
      .slice(index, index + run)
      .map((passage) => makeUnit(passage, undefined, keep, make))
    if (run > 1) units.push(make.group(members))
    else addUnit(units, passages, index, config, strategy, keep, make)
    index += run
  }
  return units
}

function addUnit(
  units: Unit[],
  passages: Passage[],
  index: number,
  config: ChunkingConfig,
  strategy: Strategy,
  keep: Set<KeepWhole>,
  make: UnitFactory,
): void {
  const passage = passages[index]!
  const before = units.at(-1)
  const caption = before && introduces(before, passage, config, make) ? before : undefined
  const unit = makeUnit(passage, caption, keep, make)
  if (isText(passage) && strategy.isBreak?.(make.slice(passage.range))) unit.breakAfter = true
  const fits = caption && caption.tokens + unit.tokens <= config.max_tokens
  if (fits && unit.whole) units.splice(-1, 1, make.group([caption, unit]))
  else units.push(unit)
}

/** How many passages from `index` on are one run of dialogue, or a speaker or song part with what is below. */
function runLength(passages: Passage[], index: number, keep: Set<KeepWhole>): number {
  const passage = passages[index]!
  if (!isText(passage)) return 1
  const text = passage.block.type === 'paragraph' ? passage.block.text : ''
  const next = passages[index + 1]
  const label = (keep.has('speech') && isSpeaker(text)) || (keep.has('stanza') && isSongPart(text))
  if (label && next && isText(next)) return 2
  if (!keep.has('dialogue')) return 1
  let end = index
  while (end < passages.length && isText(passages[end]!) && isDialogue(passages[end]!.block)) end += 1
  return Math.max(1, end - index)
}

function isText(passage: Passage): boolean {
  return !passage.isHeading && passage.block.type === 'paragraph'
}

/** "The options are:", a table's caption, or in statements the period above the figures. */
function introduces(before: Unit, passage: Passage, config: ChunkingConfig, make: UnitFactory): boolean {
  const { type } = passage.block
  if (passage.isHeading || before.kind !== 'prose' || before.section !== passage.section) return false
  if (type !== 'table' && type !== 'code' && type !== 'list') return false
  if (before.tokens > MAX_CAPTION_TOKENS) return false
  const text = make.slice(before)
  if (text.endsWith(':')) return true
  return type === 'table' && (config.strategy === 'statement' || /^(table|tab\.|exhibit)\s/i.test(text))
}

function makeUnit(
  passage: Passage,
  caption: Unit | undefined,
  keep: Set<KeepWhole>,
  make: UnitFactory,
): Unit {
  const { block, range, section } = passage
  const like = { section, page: block.page }
  if (passage.isHeading) return make.text(range, like, { kind: 'heading' })
  if (block.type === 'table') return tableUnit(passage, block, caption, keep.has('table'), make)
  if (block.type === 'list') {
    const items = passage.parts!.map((item) => make.text(item, like))
    return make.group(items, { whole: keep.has('list') })
  }
  if (block.type === 'code') return codeUnit(range, like, keep.has('code'), make)
  if (block.type === 'quotation') return make.text(range, like, { whole: keep.has('quotation') })
  const whole = keep.has('stanza') || (keep.has('speech') && isSpeaker(make.slice(range).split('\n', 1)[0]!))
  return make.text(range, like, { whole })
}

function tableUnit(
  { range, parts, section }: Passage,
  block: Extract<Block, { type: 'table' }>,
  caption: Unit | undefined,
  whole: boolean,
  make: UnitFactory,
): Unit {
  const like = { section, page: block.page }
  const headerRows = block.header?.length ?? 0
  const headerEnd = parts![headerRows - 1]?.end
  const header = headerEnd === undefined ? '' : make.slice({ start: range.start, end: headerEnd })
  const context = contextText([caption ? make.slice(caption) : '', header], make)
  const rows = parts!
    .filter((row) => make.slice(row).trim() !== '')
    .map((row, index) =>
      make.text(row, like, { kind: 'block', ...(index >= headerRows && context && { context }) }),
    )
  return make.group(rows, { whole })
}

function codeUnit(
  range: TextRange,
  like: Pick<Unit, 'section' | 'page'>,
  whole: boolean,
  make: UnitFactory,
): Unit {
  const tokens = make.tokens(range)
  const split = () => {
    const lines = splitLines(make.slice(range), 0, range.end - range.start)
    const context = contextText([make.slice(range).slice(0, lines[0]?.end ?? 0)], make)
    return lines.map(({ start, end }, index) =>
      make.text({ start: range.start + start, end: range.start + end }, like, {
        kind: 'block',
        ...(index > 0 && context && { context }),
      }),
    )
  }
  return { ...range, ...like, kind: 'block', whole, tokens, split }
}

function contextText(lines: string[], make: UnitFactory): string | undefined {
  const text = lines.filter((line) => line !== '').join('\n')
  if (text === '' || text.length > MAX_CONTEXT_TOKENS * 12) return undefined
  return make.countTokens(text) <= MAX_CONTEXT_TOKENS ? text : undefined
}
