import type { LayoutBlock, ParsedPage, TextItem } from '@llamaindex/liteparse'
import { cleanCode, cleanLine } from './clean-text.ts'
import type { Block, ListItem } from './document.ts'
import { splitParagraphs } from './pdf-paragraphs.ts'

export interface LayoutPage {
  blocks: Block[]
  /** The blocks hold the page's text in reading order. */
  trusted: boolean
}

export interface Layout {
  totalPages: number
  pages: LayoutPage[]
}

/** The glyph runs of a page take about 100 KB; they are dropped after each batch. */
const BATCH_PAGES = 100
const LEAST_SHARE_IN_BLOCKS = 0.8
const RTL = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/g
const UNMAPPED = /(?!\s)\p{Cc}|\ufffd/gu
const MONOSPACE =
  /mono|courier|consol|menlo|monaco|typewriter|inconsolata|terminal|fixed|sourcecode|cmtt|[a-z]tt\d|lmtt|ectt|sftt/i

/** Layout blocks by PDFium, or undefined where it cannot read the file; pdf.js then finds out why. */
export async function readLayout(bytes: Uint8Array, maxPages: number): Promise<Layout | undefined> {
  const { LiteParse } = await import('@llamaindex/liteparse')
  const parser = new LiteParse({
    ocrEnabled: false,
    extractBlocks: true,
    extractLinks: false,
    imageMode: 'off',
    continueOnPageError: true,
    maxPages,
    numWorkers: 1,
    quiet: true,
  })
  const pages: LayoutPage[] = []
  let totalPages = 0
  let bodySize = 0
  try {
    for await (const batch of parser.parseBatches(bytes, { batchSize: BATCH_PAGES })) {
      totalPages = batch.totalPages
      bodySize ||= commonSize(batch.result.pages)
      const byNumber = new Map(batch.result.pages.map((page) => [page.pageNum, page]))
      const last = Math.min(batch.endPage, totalPages, maxPages)
      for (let number = batch.startPage; number <= last; number += 1) {
        pages.push(readPage(byNumber.get(number), bodySize))
      }
    }
    return { totalPages, pages }
  } catch {
    return undefined
  }
}

function readPage(page: ParsedPage | undefined, bodySize: number): LayoutPage {
  if (!page) return { blocks: [], trusted: false }
  const blocks: Block[] = []
  for (const block of page.blocks ?? []) addBlock(blocks, block, page, bodySize)
  return { blocks, trusted: isTrusted(page) }
}

function isTrusted(page: ParsedPage): boolean {
  const whole = countCharacters(page.text)
  const rtl = page.text.match(RTL)?.length ?? 0
  if (rtl > whole * 0.1) return false
  // A font without a map to letters leaves its glyph numbers.
  const unmapped = page.text.match(UNMAPPED)?.length ?? 0
  if (unmapped > whole * 0.02) return false
  const turned = page.textItems.reduce((sum, item) => sum + (isTurned(item) ? item.text.length : 0), 0)
  if (turned > whole * 0.2) return false
  // Running lines are left out of the blocks on purpose; on a page of one line they may be most of it.
  const inBlocks = (page.blocks ?? []).reduce((sum, block) => sum + countCharacters(rawText(block)), 0)
  return inBlocks >= whole * LEAST_SHARE_IN_BLOCKS
}

function isTurned({ rotation = 0 }: TextItem): boolean {
  const angle = Math.abs(rotation % 360)
  return angle > 2 && angle < 358
}

function countCharacters(text: string): number {
  return text.replace(/[\s\\*|~_]/g, '').length
}

function rawText(block: LayoutBlock): string {
  const cells = [...(block.header ?? []), ...(block.rows ?? []).flat()].map((cell) => cell.text)
  return [block.marker ?? '', block.text ?? '', ...(block.lines ?? []), ...cells].join(' ')
}

/** The height of most of the text, in points. */
function commonSize(pages: ParsedPage[]): number {
  const lengths = new Map<number, number>()
  for (const { textItems } of pages) {
    for (const { height, text } of textItems) {
      const size = Math.round(height * 2) / 2
      lengths.set(size, (lengths.get(size) ?? 0) + text.length)
    }
  }
  let common = 0
  for (const [size, length] of lengths) if (length > (lengths.get(common) ?? 0)) common = size
  return common
}

function addBlock(blocks: Block[], block: LayoutBlock, page: ParsedPage, bodySize: number): void {
  const number = page.pageNum
  if (block.kind === 'rule') return
  if (block.kind === 'figure') {
    blocks.push({ type: 'image', page: number })
    return
  }
  const items = itemsIn(block, page.textItems)
  if (block.kind !== 'heading' && block.kind !== 'list_item' && isMonospace(items) && !isGrid(block)) {
    addCode(blocks, sourceLines(items), number)
  } else if (block.kind === 'code') addCode(blocks, (block.lines ?? []).join('\n'), number)
  else if (block.kind === 'grid_fallback') addText(blocks, (block.lines ?? []).map(plain).join('\n'), number)
  else if (block.kind === 'table') addTable(blocks, block, number)
  else if (block.kind === 'list_item') addItem(blocks, block, number)
  else if (block.kind === 'heading' && isHeading(block, items, bodySize)) {
    blocks.push({ type: 'heading', level: block.level ?? 1, text: plain(block.text), page: number })
  } else addParagraphs(blocks, block.text ?? '', items, number)
}

function addParagraphs(blocks: Block[], text: string, items: TextItem[], page: number): void {
  for (const lines of splitParagraphs(text, items)) {
    addText(blocks, lines.map(plain).filter(Boolean).join('\n'), page)
  }
}

function addText(blocks: Block[], text: string, page: number): void {
  if (text !== '') blocks.push({ type: 'paragraph', text, page })
}

function addCode(blocks: Block[], text: string, page: number): void {
  const clean = cleanCode(text)
  if (clean === '') return
  const last = blocks.at(-1)
  if (last?.type === 'code') last.text += `\n${clean}`
  else blocks.push({ type: 'code', text: clean, page })
}

function addTable(blocks: Block[], block: LayoutBlock, page: number): void {
  const header = block.header?.map((cell) => plain(cell.text))
  const rows = (block.rows ?? []).map((row) => row.map((cell) => plain(cell.text)))
  const filled = rows.filter((row) => row.some((cell) => cell !== ''))
  const width = Math.max(header?.length ?? 0, ...filled.slice(0, 100).map((row) => row.length), 0)
  // One column is a box around text, not a table.
  if (width === 1)
    for (const [text] of [...(header ? [header] : []), ...filled]) addText(blocks, text ?? '', page)
  else if (width > 1) {
    const filledHeader = header?.some((cell) => cell !== '') ? [header] : undefined
    blocks.push({ type: 'table', rows: filled, page, ...(filledHeader && { header: filledHeader }) })
  }
}

function addItem(blocks: Block[], block: LayoutBlock, page: number): void {
  const item: ListItem = { text: plain(block.text), level: Math.min(block.level ?? 0, 31) }
  if (item.text === '') return
  const last = blocks.at(-1)
  const ordered = block.ordered ?? false
  if (last?.type === 'list' && (last.ordered === ordered || item.level > 0)) last.items.push(item)
  else blocks.push({ type: 'list', ordered, items: [item], page })
}

/** Labels inside figures are short and bold like headings, but smaller than the text. */
function isHeading(block: LayoutBlock, items: TextItem[], bodySize: number): boolean {
  const text = plain(block.text)
  if (text.length > 200 || !/\p{L}{2}/u.test(text) || /[-,;]$/.test(text)) return false
  const size = items.reduce((most, { height }) => Math.max(most, height), 0)
  return size === 0 || size >= bodySize * 0.92
}

function isGrid(block: LayoutBlock): boolean {
  return (
    block.kind === 'table' &&
    ((block.header?.length ?? 0) > 1 || (block.rows ?? []).some((row) => row.length > 1))
  )
}

function itemsIn({ bbox }: LayoutBlock, items: TextItem[]): TextItem[] {
  if (!bbox) return []
  return items.filter(({ x, y, width, height }) => {
    const [middleX, middleY] = [x + width / 2, y + height / 2]
    return (
      middleX >= bbox.x - 1 &&
      middleX <= bbox.x + bbox.width + 1 &&
      middleY >= bbox.y - 1 &&
      middleY <= bbox.y + bbox.height + 1
    )
  })
}

function isMonospace(items: TextItem[]): boolean {
  let [all, mono] = [0, 0]
  for (const { text, fontName } of items) {
    all += text.length
    if (fontName && MONOSPACE.test(fontName)) mono += text.length
  }
  return all > 0 && mono >= all * 0.85
}

/** Lines as they stand on the page, with their indentation in characters. */
function sourceLines(items: TextItem[]): string {
  const lines: TextItem[][] = []
  for (const item of [...items].sort((a, b) => a.y - b.y || a.x - b.x)) {
    const line = lines.at(-1)
    if (line && Math.abs(line[0]!.y - item.y) < item.height * 0.6) line.push(item)
    else lines.push([item])
  }
  const advance =
    items.reduce((sum, { width }) => sum + width, 0) / items.reduce((sum, { text }) => sum + text.length, 0)
  const left = items.reduce((least, { x }) => Math.min(least, x), Number.POSITIVE_INFINITY)
  return lines.map((line) => sourceLine(line, left, advance)).join('\n')
}

function sourceLine(line: TextItem[], left: number, advance: number): string {
  let text = ''
  for (const item of line.sort((a, b) => a.x - b.x)) {
    const column = Math.min(Math.round((item.x - left) / advance), 200)
    const gap = column - text.length
    text += text === '' ? ' '.repeat(Math.max(0, gap)) : gap > 0 && !text.endsWith(' ') ? ' '.repeat(gap) : ''
    text += item.text
  }
  return text
}

// "pop- ular", but not "short- and long-term".
const BROKEN_WORD = /(\p{Ll})- (?!(?:and|or|to|und|oder|bis)\b)(?=\p{Ll}{2})/gu

/** Blocks come as Markdown: emphasis goes, escapes are undone; words broken where the style changes are mended. */
function plain(text = ''): string {
  const unmarked = cleanLine(
    text.replace(/\\([\\`*_{}[\]()#+\-.!|~<>&])|\*{1,3}|~~/g, (_, escaped?: string) => escaped ?? ''),
  )
  return unmarked.replace(BROKEN_WORD, '$1')
}
