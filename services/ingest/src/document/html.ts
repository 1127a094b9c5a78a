import { type DefaultTreeAdapterMap, parse, parseFragment } from 'parse5'
import { BlockBuilder } from './block-builder.ts'
import { decodeText } from './charset.ts'
import { cleanCode, cleanLine, cleanLines } from './clean-text.ts'
import type { Block, StructuredDocument } from './document.ts'

type Node = DefaultTreeAdapterMap['node']
type Element = DefaultTreeAdapterMap['element']

const DROPPED = new Set(
  'script style noscript template nav svg iframe object embed canvas audio video select button input head'.split(
    ' ',
  ),
)
const BLOCKS = new Set(
  `address article aside body center dd details dialog div dl dt fieldset figcaption figure footer form header
  hgroup html legend li main menu ol p section summary table tbody td tfoot th thead tr ul`.split(/\s+/),
)
const MAX_SPAN = 50

/** Reads HTML of any age without fetching or running anything. `declared` is the charset of a Content-Type. */
export function parseHtml(bytes: Uint8Array, declared?: string): StructuredDocument {
  const { text, damaged } = decodeText(bytes, [declared, metaCharset(bytes)])
  const tree = parse(text)
  const { blocks, title, language, authors, date } = new HtmlReader().read(tree)
  return {
    title,
    authors,
    date,
    language,
    blocks,
    warnings: damaged ? ['Some characters could not be read: the encoding of the file is unclear.'] : [],
  }
}

/** The blocks of a piece of HTML inside another format. */
export function parseHtmlFragment(html: string): Block[] {
  return new HtmlReader().read(parseFragment(html)).blocks
}

function metaCharset(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 4096)).toString(
    'latin1',
  )
  return (
    /<meta[^>]{0,400}?charset\s*=\s*["']?\s*([\w.:-]+)/i.exec(head)?.[1] ??
    /<\?xml[^>]{0,200}encoding=["']([\w.:-]+)/i.exec(head)?.[1]
  )
}

interface TableFrame {
  header: string[][]
  rows: string[][]
  row?: string[]
  rowIsHeader: boolean
  inHead: boolean
  /** The row has a cell of its own, not only such that reach down into it. */
  hasOwnCell: boolean
  /** Text of cells that reach down into later rows, by column. */
  carried: Map<number, { text: string; left: number }>
  cell?: { buffer: string[]; colspan: number; rowspan: number }
}

class HtmlReader {
  #builder = new BlockBuilder()
  #buffer: string[] = []
  #heading: number | undefined
  #code: { language?: string; depth: number } | undefined
  #table: TableFrame | undefined
  #layoutTables = new Set<Node>()
  #title: string | undefined
  #language: string | undefined
  #authors: string[] = []
  #date: string | undefined

  read(root: Node): Omit<StructuredDocument, 'warnings'> {
    markLayoutTables(root, this.#layoutTables)
    walk(
      root,
      (node) => this.#enter(node),
      (node) => this.#leave(node),
    )
    this.#flush()
    const blocks = this.#builder.finish()
    return { blocks, title: this.#title, language: this.#language, authors: this.#authors, date: this.#date }
  }

  /** Returns whether the children are to be read. */
  #enter(node: Node): boolean {
    if (node.nodeName === '#text') this.#text((node as DefaultTreeAdapterMap['textNode']).value)
    if (!('tagName' in node)) return 'childNodes' in node
    const { tagName } = node
    if (tagName === 'html') this.#language = attribute(node, 'lang')?.slice(0, 2).toLowerCase() || undefined
    if (tagName === 'head') this.#readHead(node)
    if (DROPPED.has(tagName) || isHidden(node)) return false
    if (tagName === 'br') this.#text('\n', true)
    else if (tagName === 'img') this.#image(cleanLine(attribute(node, 'alt') ?? ''))
    else if (this.#table && !this.#layoutTables.has(node)) this.#enterInTable(node)
    else this.#enterBlock(node)
    return true
  }

  #enterBlock(element: Element): void {
    const { tagName } = element
    const heading = /^h([1-6])$/.exec(tagName)
    if (heading) {
      this.#flush()
      this.#heading = Number(heading[1])
    } else if (tagName === 'pre' || tagName === 'listing' || tagName === 'xmp' || tagName === 'plaintext') {
      if (this.#code) this.#code.depth += 1
      else {
        this.#flush()
        this.#code = { depth: 1, language: codeLanguage(element) }
      }
    } else if (tagName === 'code' && this.#code) this.#code.language ??= codeLanguage(element)
    else if (tagName === 'ul' || tagName === 'ol' || tagName === 'menu') this.#open('list', tagName === 'ol')
    else if (tagName === 'li') this.#open('item')
    else if (tagName === 'blockquote') this.#open('quotation')
    else if (tagName === 'table' && !this.#layoutTables.has(element)) {
      this.#flush()
      this.#table = newTable()
    } else if (BLOCKS.has(tagName)) this.#flush()
  }

  #leave(node: Node): void {
    if (!('tagName' in node)) return
    const { tagName } = node
    if (this.#table && !this.#layoutTables.has(node)) {
      this.#leaveInTable(tagName)
      return
    }
    if (/^h[1-6]$/.test(tagName)) {
      this.#flush()
      this.#heading = undefined
    } else if (/^(pre|listing|xmp|plaintext)$/.test(tagName) && this.#code) {
      this.#code.depth -= 1
      if (this.#code.depth === 0) this.#flush()
    } else if (/^(ul|ol|menu|li|blockquote)$/.test(tagName)) {
      this.#flush()
      this.#builder.close()
    } else if (BLOCKS.has(tagName)) this.#flush()
  }

  #open(kind: 'list' | 'item' | 'quotation', ordered = false): void {
    this.#flush()
    this.#builder.open(kind, ordered)
  }

  #text(value: string, lineBreak = false): void {
    const buffer = this.#table?.cell?.buffer ?? this.#buffer
    if (this.#code || lineBreak) buffer.push(value)
    else buffer.push(value.replace(/[\s\n]+/g, ' '))
  }

  #image(alt: string): void {
    if (alt === '') return
    if (this.#table || this.#code || this.#heading || this.#buffer.some((piece) => piece.trim() !== '')) {
      this.#text(` ${alt} `)
    } else this.#builder.add({ type: 'image', alt })
  }

  #flush(): void {
    const raw = this.#buffer.join('')
    this.#buffer = []
    if (this.#code && this.#code.depth <= 0) {
      const text = cleanCode(raw)
      const { language } = this.#code
      this.#code = undefined
      if (text !== '') this.#builder.add({ type: 'code', text, ...(language && { language }) })
      return
    }
    if (this.#code) {
      this.#buffer = raw === '' ? [] : [raw.endsWith('\n') ? raw : `${raw}\n`]
      return
    }
    const text = cleanLines(raw)
    if (text === '') return
    if (this.#heading)
      this.#builder.add({ type: 'heading', level: this.#heading, text: text.replaceAll('\n', ' ') })
    else this.#builder.add({ type: 'paragraph', text })
  }

  #enterInTable(element: Element): void {
    const table = this.#table!
    const { tagName } = element
    if (tagName === 'thead') table.inHead = true
    else if (tagName === 'tr') {
      endRow(table)
      table.row = []
      table.rowIsHeader = true
      table.hasOwnCell = false
      takeCarried(table)
    } else if (tagName === 'td' || tagName === 'th') {
      endCell(table)
      table.row ??= []
      if (tagName === 'td') table.rowIsHeader = false
      table.cell = {
        buffer: [],
        colspan: span(attribute(element, 'colspan')),
        rowspan: span(attribute(element, 'rowspan')),
      }
    } else if (BLOCKS.has(tagName)) table.cell?.buffer.push('\n')
  }

  #leaveInTable(tagName: string): void {
    const table = this.#table!
    if (tagName === 'thead') table.inHead = false
    else if (tagName === 'tr') endRow(table)
    else if (tagName === 'td' || tagName === 'th') endCell(table)
    else if (tagName === 'caption') {
      const text = cleanLine(this.#buffer.join(''))
      this.#buffer = []
      if (text !== '') this.#builder.add({ type: 'paragraph', text })
    } else if (tagName === 'table') {
      endRow(table)
      this.#table = undefined
      this.#flush()
      const { header, rows } = table
      if (header.length + rows.length === 0) return
      this.#builder.add({ type: 'table', rows, ...(header.length > 0 && { header }) })
    } else if (BLOCKS.has(tagName)) table.cell?.buffer.push('\n')
  }

  #readHead(head: Element): void {
    for (const child of head.childNodes) {
      if (!('tagName' in child)) continue
      if (child.tagName === 'title') {
        this.#title ??=
          cleanLine(child.childNodes.map((node) => ('value' in node ? node.value : '')).join('')) || undefined
      } else if (child.tagName === 'meta') this.#readMeta(child)
    }
  }

  #readMeta(meta: Element): void {
    const name = (attribute(meta, 'name') ?? attribute(meta, 'property') ?? '').toLowerCase()
    const content = cleanLine(attribute(meta, 'content') ?? '')
    if (content === '') return
    if (/^(author|article:author|dc\.creator|dcterms\.creator|citation_author)$/.test(name))
      this.#authors.push(content)
    else if (
      /^(article:published_time|date|dc\.date|dcterms\.(created|date)|citation_(publication_)?date)$/.test(
        name,
      )
    ) {
      this.#date ??= content
    } else if (name === 'og:title') this.#title ??= content
  }
}

function newTable(): TableFrame {
  return { header: [], rows: [], rowIsHeader: true, inHead: false, hasOwnCell: false, carried: new Map() }
}

function endCell(table: TableFrame): void {
  const { cell, row } = table
  if (!cell || !row) return
  table.cell = undefined
  table.hasOwnCell = true
  const text = cleanLines(cell.buffer.join('')).replaceAll('\n', ' ')
  for (let index = 0; index < cell.colspan; index += 1) {
    if (cell.rowspan > 1)
      table.carried.set(row.length, { text: index === 0 ? text : '', left: cell.rowspan - 1 })
    row.push(index === 0 ? text : '')
  }
  takeCarried(table)
}

function takeCarried(table: TableFrame): void {
  const row = table.row!
  for (;;) {
    const carried = table.carried.get(row.length)
    if (!carried || carried.left === 0) return
    carried.left -= 1
    row.push(carried.text)
  }
}

function endRow(table: TableFrame): void {
  endCell(table)
  const { row } = table
  table.row = undefined
  if (!table.hasOwnCell || !row?.some((cell) => cell !== '')) return
  const isHeader =
    table.rows.length === 0 && (table.inHead || (table.rowIsHeader && table.header.length === 0))
  if (isHeader) table.header.push(row)
  else table.rows.push(row)
}

function span(value: string | undefined): number {
  const number = Number.parseInt(value ?? '1', 10)
  return Number.isFinite(number) ? Math.min(Math.max(number, 1), MAX_SPAN) : 1
}

function attribute(element: Element, name: string): string | undefined {
  return element.attrs.find((each) => each.name === name)?.value
}

function isHidden(element: Element): boolean {
  return element.attrs.some(
    ({ name, value }) =>
      name === 'hidden' ||
      (name === 'aria-hidden' && value === 'true' && element.tagName !== 'code') ||
      (name === 'role' && value === 'navigation') ||
      (name === 'style' && /display\s*:\s*none|visibility\s*:\s*hidden/i.test(value)),
  )
}

function codeLanguage(element: Element): string | undefined {
  const name = `${attribute(element, 'class') ?? ''} ${attribute(element, 'data-lang') ?? ''}`
  return /(?:language|lang|highlight-source|brush:?)[-\s]*([\w+#-]+)/i.exec(name)?.[1]?.toLowerCase()
}

/** A table that holds another table or a heading lays out a page; its cells are read as ordinary blocks. */
function markLayoutTables(root: Node, layout: Set<Node>): void {
  const open: Node[] = []
  walk(
    root,
    (node) => {
      const enclosing = open.at(-1)
      if (node.nodeName === 'table') {
        if (enclosing) layout.add(enclosing)
        open.push(node)
      } else if (enclosing && /^(h[1-6]|pre)$/.test(node.nodeName)) layout.add(enclosing)
      return 'childNodes' in node
    },
    (node) => {
      if (node.nodeName === 'table') open.pop()
    },
  )
  // Rows and cells of a layout table belong to it.
  walk(root, (node) => {
    if (/^(tbody|thead|tfoot|tr|td|th|caption)$/.test(node.nodeName)) {
      const parent = 'parentNode' in node ? node.parentNode : undefined
      if (parent && layout.has(parent)) layout.add(node)
    }
    return 'childNodes' in node
  })
}

/** Depth first without recursion: documents nest deeper than the call stack. */
function walk(root: Node, enter: (node: Node) => boolean, leave: (node: Node) => void = () => {}): void {
  const stack: { node: Node; next: number }[] = [{ node: root, next: 0 }]
  if (!enter(root)) return
  while (stack.length > 0) {
    const top = stack.at(-1)!
    const children = 'childNodes' in top.node ? top.node.childNodes : []
    const child = children[top.next]
    if (!child) {
      leave(top.node)
      stack.pop()
      continue
    }
    top.next += 1
    if (enter(child)) stack.push({ node: child, next: 0 })
  }
}
