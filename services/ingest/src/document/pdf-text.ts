import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import type { PDFDocumentProxy } from 'pdfjs-dist'
import { cleanLine, joinWrappedLines } from './clean-text.ts'
import type { Block, StructuredDocument } from './document.ts'
import { EncryptedFileError } from './errors.ts'

type Metadata = Partial<Pick<StructuredDocument, 'title' | 'authors' | 'date' | 'language'>>

export interface PdfText {
  pageCount: number
  /** Paragraphs and large-print headings of a page, counted from 1, in the order of the file. */
  pageBlocks(page: number): Promise<Block[]>
  metadata(): Promise<Metadata>
  /** Flat, in order; depth 0 is outermost. */
  outline(): Promise<{ title: string; depth: number }[]>
  close(): Promise<void>
}

/** Opens a PDF in pdf.js: JavaScript only, no network, fonts and character maps from its package. */
export async function openPdfText(bytes: Uint8Array): Promise<PdfText> {
  const pdfjs = await import('pdfjs-dist/legacy/build/pdf.mjs')
  const folder = `${dirname(createRequire(import.meta.url).resolve('pdfjs-dist/package.json'))}/`
  const task = pdfjs.getDocument({
    data: new Uint8Array(bytes),
    cMapUrl: `${folder}cmaps/`,
    cMapPacked: true,
    standardFontDataUrl: `${folder}standard_fonts/`,
    wasmUrl: `${folder}wasm/`,
    useSystemFonts: false,
    disableFontFace: true,
    enableXfa: false,
    verbosity: 0,
  })
  try {
    const document = await task.promise
    return {
      pageCount: document.numPages,
      pageBlocks: (page) => readPage(document, page),
      metadata: () => readMetadata(document),
      outline: () => readOutline(document),
      close: () => task.destroy(),
    }
  } catch (error) {
    await task.destroy()
    if (error instanceof Error && error.name === 'PasswordException')
      throw new EncryptedFileError(undefined, { cause: error })
    throw error
  }
}

interface Line {
  text: string
  size: number
  /** Of the base line, from the bottom of the page; NaN where the text is turned. */
  y: number
}

async function readPage(document: PDFDocumentProxy, number: number): Promise<Block[]> {
  const page = await document.getPage(number)
  // pdf.js would take Arabic ligatures apart before it puts the letters in order; cleanText does so after.
  const { items } = await page.getTextContent({ disableNormalization: true })
  page.cleanup()
  return toBlocks(toLines(items.filter((item) => 'str' in item)), number)
}

interface Item {
  str: string
  dir: string
  transform: number[]
  width: number
  height: number
  hasEOL: boolean
}

function toLines(items: Item[]): Line[] {
  const lines: Item[][] = [[]]
  for (const item of items) {
    if (item.str !== '') lines.at(-1)!.push(item)
    if (item.hasEOL) lines.push([])
  }
  return lines.map(toLine).filter(({ text }) => text !== '')
}

function toLine(items: Item[]): Line {
  const [a = 1, b = 0, , , , y = 0] = items[0]?.transform ?? []
  const straight = Math.abs(b) < 0.01 && a > 0
  let text = ''
  let previous: Item | undefined
  for (const item of straight ? readingOrder(items) : items) {
    if (previous && needsBlank(previous, item)) text += ' '
    text += item.str
    previous = item
  }
  const size = items.reduce((most, { str, height }) => (str.trim() === '' ? most : Math.max(most, height)), 0)
  return { text: cleanLine(text), size, y: straight ? y : Number.NaN }
}

/** Some programs write a line of Arabic or Hebrew from its left end; words of other scripts in it run to the right. */
function readingOrder(items: Item[]): Item[] {
  const rtl = items.reduce((sum, { dir, str }) => sum + (dir === 'rtl' ? str.length : 0), 0)
  const all = items.reduce((sum, { str }) => sum + str.trim().length, 0)
  if (rtl * 2 <= all) return items
  const ordered: Item[] = []
  let foreign: Item[] = []
  for (const item of items
    .filter(({ str }) => str.trim() !== '')
    .sort((one, two) => two.transform[4]! - one.transform[4]!)) {
    if (item.dir !== 'rtl') {
      foreign.unshift(item)
      continue
    }
    ordered.push(...foreign, item)
    foreign = []
  }
  return [...ordered, ...foreign]
}

/** Items that stand apart on the page with no blank between them in the file. */
function needsBlank(previous: Item, item: Item): boolean {
  if (/\s$/.test(previous.str) || /^\s/.test(item.str)) return false
  const [, , , , x, y] = item.transform as [number, number, number, number, number, number]
  const [, , , , previousX, previousY] = previous.transform as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  if (Math.abs(y - previousY) > item.height * 0.5) return true
  const gap = x >= previousX ? x - (previousX + previous.width) : previousX - (x + item.width)
  return gap > item.height * 0.15
}

function toBlocks(lines: Line[], page: number): Block[] {
  const bodySize = commonSize(lines)
  const blocks: Block[] = []
  let group: Line[] = []
  const flush = () => {
    if (group.length === 0) return
    const text = joinWrappedLines(group.map((line) => line.text))
    const large = group.every((line) => line.size > bodySize * 1.15)
    const heading = large && text.length <= 150 && /\p{L}{2}/u.test(text)
    const level = group[0]!.size > bodySize * 1.6 ? 1 : 2
    blocks.push(heading ? { type: 'heading', level, text, page } : { type: 'paragraph', text, page })
    group = []
  }
  for (const line of lines) {
    const above = group.at(-1)
    if (above && startsBlock(above, line)) flush()
    group.push(line)
  }
  flush()
  return blocks
}

function startsBlock(above: Line, line: Line): boolean {
  if (Math.abs(above.size - line.size) > Math.max(above.size, line.size) * 0.12) return true
  const gap = above.y - line.y
  return Number.isFinite(gap) && (gap > Math.max(above.size, line.size) * 1.75 || gap < -1)
}

function commonSize(lines: Line[]): number {
  const lengths = new Map<number, number>()
  for (const { size, text } of lines) lengths.set(size, (lengths.get(size) ?? 0) + text.length)
  return [...lengths].reduce((most, each) => (each[1] > most[1] ? each : most), [0, 0])[0]
}

async function readMetadata(document: PDFDocumentProxy): Promise<Metadata> {
  const { info, metadata } = (await document.getMetadata()) as {
    info: Record<string, unknown>
    metadata?: { get(name: string): unknown }
  }
  const text = (value: unknown) =>
    cleanLine(
      [value]
        .flat()
        .filter((each) => typeof each === 'string')
        .join('; '),
    )
  const title = text(metadata?.get('dc:title')) || text(info.Title)
  const authors = (text(metadata?.get('dc:creator')) || text(info.Author)).split(/\s*;\s*/).filter(Boolean)
  const date = isoDate(text(info.CreationDate))
  const language = text(info.Language).slice(0, 2).toLowerCase()
  return {
    authors: authors.slice(0, 100),
    ...(isTitle(title) && { title }),
    ...(date && { date }),
    ...(/^[a-z]{2}$/.test(language) && { language }),
  }
}

/** What programs write when nobody gave a title. */
function isTitle(title: string): boolean {
  return (
    title.length > 1 &&
    !/^(untitled|microsoft (word|powerpoint) - |.*\.(docx?|pdf|indd|tex|dvi|pptx?)$|slide 1$|document\d*$)/i.test(
      title,
    )
  )
}

/** `D:20241101153620+03'00'` (ISO 32000-1, 7.9.4) as ISO 8601. */
export function isoDate(date: string): string | undefined {
  const match = /^(?:D:)?(\d{4})(\d\d)?(\d\d)?(?:(\d\d)(\d\d)(\d\d)?)?(?:Z|([+-])(\d\d)'?(\d\d)?)?/.exec(date)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second = '00', sign, offsetHour, offsetMinute = '00'] = match
  const days = [year, month, day].filter(Boolean).join('-')
  if (Number.isNaN(Date.parse(days))) return undefined
  if (!day || !hour || Number(hour) > 23) return days
  return `${days}T${hour}:${minute}:${second}${sign ? `${sign}${offsetHour}:${offsetMinute}` : 'Z'}`
}

const MAX_OUTLINE = 5000

async function readOutline(document: PDFDocumentProxy): Promise<{ title: string; depth: number }[]> {
  const flat: { title: string; depth: number }[] = []
  const stack = ((await document.getOutline()) ?? []).map((entry) => ({ entry, depth: 0 })).reverse()
  while (stack.length > 0 && flat.length < MAX_OUTLINE) {
    const { entry, depth } = stack.pop()!
    flat.push({ title: cleanLine(entry.title), depth })
    for (const child of [...entry.items].reverse()) stack.push({ entry: child, depth: depth + 1 })
  }
  return flat
}
