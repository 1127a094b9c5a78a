import { cleanLine } from './clean-text.ts'
import type { Block, Heading, StructuredDocument } from './document.ts'
import { CorruptFileError, EncryptedFileError } from './errors.ts'
import { type LayoutPage, readLayout } from './pdf-layout.ts'
import { dropRunningLines, joinAcrossPages } from './pdf-pages.ts'
import { openPdfText, type PdfText } from './pdf-text.ts'

export interface PdfOptions {
  maxPages: number
  avoidNative?: boolean
}

/**
 * Reads a PDF: layout blocks by PDFium (LiteParse), and page by page the plain text by pdf.js where the blocks
 * miss a fifth of a page's text, the text is rotated or runs from right to left, or PDFium fails. Title, authors
 * and outline come from pdf.js. A page without text is named in the warnings.
 */
export async function parsePdf(bytes: Uint8Array, options: PdfOptions): Promise<StructuredDocument> {
  const layout = options.avoidNative ? undefined : await readLayout(bytes, options.maxPages)
  const needsText = !layout || layout.pages.some((page) => !page.trusted)
  let text: PdfText | undefined
  try {
    text = await openPdfText(bytes)
  } catch (error) {
    if (error instanceof EncryptedFileError) throw error
    if (!layout)
      throw new CorruptFileError('The PDF is damaged and cannot be opened. Export or print it again.', {
        cause: error,
      })
  }
  try {
    const pageCount = layout?.totalPages ?? text?.pageCount ?? 0
    const pages = needsText
      ? await mendPages(layout?.pages, text, Math.min(pageCount, options.maxPages))
      : layout.pages
    const blocks = joinAcrossPages(dropRunningLines(pages.map((page) => page.blocks)))
    const outline = (await text?.outline().catch(() => [])) ?? []
    const metadata = await text?.metadata().catch(() => undefined)
    return {
      authors: [],
      ...metadata,
      page_count: pageCount,
      blocks: levelByOutline(blocks, outline),
      warnings: pageWarnings(pages, pageCount, options.maxPages),
    }
  } finally {
    await text?.close()
  }
}

interface PageBlocks {
  blocks: Block[]
}

async function mendPages(
  pages: LayoutPage[] | undefined,
  text: PdfText | undefined,
  count: number,
): Promise<PageBlocks[]> {
  const mended: PageBlocks[] = []
  for (let index = 0; index < count; index += 1) {
    const page = pages?.[index]
    if (page?.trusted || !text) mended.push(page ?? { blocks: [] })
    else {
      const blocks = await text.pageBlocks(index + 1).catch(() => [])
      mended.push(blocks.length > 0 || !page ? { blocks } : page)
    }
  }
  return mended
}

function pageWarnings(pages: PageBlocks[], pageCount: number, maxPages: number): string[] {
  const warnings: string[] = []
  const silent = pages.flatMap(({ blocks }, index) =>
    blocks.some((block) => block.type !== 'image') ? [] : [index + 1],
  )
  if (silent.length > 0) {
    const start = silent.length === pages.length ? 'The PDF has no text layer (it may be a scan): ' : ''
    const range = describePages(silent)
    warnings.push(`${start}${start ? range.toLowerCase() : range} gave no text.`)
  }
  if (pageCount > maxPages) warnings.push(`Only the first ${maxPages} of ${pageCount} pages were read.`)
  return warnings
}

/** "Page 4", "Pages 41 to 43", "Pages 1, 3 and 7 to 9". */
export function describePages(pages: number[]): string {
  const ranges: [number, number][] = []
  for (const page of pages) {
    const last = ranges.at(-1)
    if (last && last[1] === page - 1) last[1] = page
    else ranges.push([page, page])
  }
  const shown = ranges.slice(0, 20).map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`))
  if (ranges.length > shown.length) shown.push(`${ranges.length - shown.length} more places`)
  const words = shown.length === 1 ? shown[0] : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`
  return `${pages.length === 1 ? 'Page' : 'Pages'} ${words}`
}

/** An author's outline knows better than font sizes what is a heading and how deep; other headings go below it. */
function levelByOutline(blocks: Block[], outline: { title: string; depth: number }[]): Block[] {
  const depths = new Map<string, number>()
  for (const { title, depth } of outline)
    if (!depths.has(headingKey(title))) depths.set(headingKey(title), depth)
  if (depths.size < 3) return blocks
  const depthOf = (block: Block) =>
    block.type === 'heading' || (block.type === 'paragraph' && block.text.length <= 200)
      ? depths.get(headingKey(block.text))
      : undefined
  const matched = new Set(
    blocks.flatMap((block) =>
      depthOf(block) === undefined || !('text' in block) ? [] : [headingKey(block.text)],
    ),
  )
  if (matched.size < 3 || matched.size * 2 < depths.size) return blocks
  let level = 0
  return blocks.map((block): Block => {
    const depth = depthOf(block)
    if (depth !== undefined && 'text' in block) {
      level = Math.min(depth + 1, 6)
      return { type: 'heading', level, text: cleanLine(block.text), page: block.page } satisfies Heading
    }
    return block.type === 'heading' ? { ...block, level: Math.min(level + 1, 6) } : block
  })
}

function headingKey(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '')
}
