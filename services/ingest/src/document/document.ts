/**
 * A document as its parser understood it: blocks in reading order. Field names are those of the JSON in which
 * the parsed content is stored. All strings have been through `cleanText`.
 */
export interface StructuredDocument {
  title?: string
  authors: string[]
  /** ISO 8601 date or date and time, as far as the file states one. */
  date?: string
  /** ISO 639-1 code. */
  language?: string
  page_count?: number
  blocks: Block[]
  /** What could not be read, worded for the person who brought the file. */
  warnings: string[]
}

export type Block = Heading | Paragraph | List | Code | Table | Quotation | Image

interface OnPage {
  /** Counted from 1; only in formats that have pages. */
  page?: number
}

export interface Heading extends OnPage {
  type: 'heading'
  /** 1 (outermost) to 6. */
  level: number
  text: string
}

/** `text` holds a line feed only where the line break carries meaning (verse, an address). */
export interface Paragraph extends OnPage {
  type: 'paragraph'
  text: string
}

export interface ListItem {
  text: string
  /** Nesting depth, 0 for the outermost. */
  level: number
}

export interface List extends OnPage {
  type: 'list'
  ordered: boolean
  items: ListItem[]
}

export interface Code extends OnPage {
  type: 'code'
  language?: string
  text: string
}

export interface Table extends OnPage {
  type: 'table'
  header?: string[][]
  rows: string[][]
}

export interface Quotation extends OnPage {
  type: 'quotation'
  text: string
}

export interface Image extends OnPage {
  type: 'image'
  alt?: string
}

/** Half-open range of UTF-16 code units in the rendered text. */
export interface TextRange {
  start: number
  end: number
}

export interface RenderedDocument {
  text: string
  /** One per block, in order; empty (`start === end`) for a block without text. */
  blockRanges: TextRange[]
  /** Of each list's items, table's rows (header rows first) and nothing else; in the order of the blocks. */
  partRanges: (TextRange[] | undefined)[]
}

/**
 * The canonical plain text of a document, to which `char_start` and `char_end` of its chunks refer: blocks
 * parted by an empty line, list items by `- ` or their number and two blanks a level, table cells by ` | `.
 */
export function renderDocument(document: Pick<StructuredDocument, 'blocks'>): RenderedDocument {
  const pieces: string[] = []
  const blockRanges: TextRange[] = []
  const partRanges: (TextRange[] | undefined)[] = []
  let length = 0
  for (const block of document.blocks) {
    const parts = renderParts(block)
    const texts = parts ?? [renderWhole(block)]
    if (texts.every((part) => part.trim() === '')) {
      blockRanges.push({ start: length, end: length })
      partRanges.push(parts && [])
      continue
    }
    if (length > 0) {
      pieces.push('\n\n')
      length += 2
    }
    const start = length
    const ranges: TextRange[] = []
    texts.forEach((part, index) => {
      if (index > 0) {
        pieces.push('\n')
        length += 1
      }
      pieces.push(part)
      ranges.push({ start: length, end: length + part.length })
      length += part.length
    })
    blockRanges.push({ start, end: length })
    partRanges.push(parts && ranges)
  }
  return { text: pieces.join(''), blockRanges, partRanges }
}

function renderWhole(block: Block): string {
  if (block.type === 'image') return block.alt ?? ''
  return 'text' in block ? block.text : ''
}

function renderParts(block: Block): string[] | undefined {
  if (block.type === 'list') return renderList(block)
  if (block.type !== 'table') return undefined
  return [...(block.header ?? []), ...block.rows].map((row) => row.join(' | '))
}

function renderList({ items, ordered }: List): string[] {
  const counters: number[] = []
  return items.map(({ text, level }) => {
    counters.length = Math.min(counters.length, level + 1)
    counters[level] = (counters[level] ?? 0) + 1
    const marker = ordered && level === 0 ? `${counters[level]}.` : '-'
    const indent = '  '.repeat(level)
    return `${indent}${marker} ${text.replaceAll('\n', `\n${indent}  `)}`
  })
}
