import { joinWrappedLines } from './clean-text.ts'
import type { Block, Table } from './document.ts'

const EDGE_BLOCKS = 2
const MAX_RUNNING_LENGTH = 150

/**
 * Drops running headers, footers and page numbers: short lines among the first or last two blocks of a page that
 * stand, but for their numbers, on at least three pages and a fifth of all. A page is never emptied by it.
 */
export function dropRunningLines(pages: Block[][]): Block[][] {
  if (pages.length < 3) return pages
  const counts = new Map<string, number>()
  for (const blocks of pages) {
    for (const key of new Set(edges(blocks).map((index) => runningKey(blocks[index]!)))) {
      if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  }
  const least = Math.max(3, pages.length / 5)
  return pages.map((blocks) => {
    const running = new Set(
      edges(blocks).filter((index) => {
        const key = runningKey(blocks[index]!)
        return key !== undefined && counts.get(key)! >= least
      }),
    )
    return running.size < blocks.length ? blocks.filter((_, index) => !running.has(index)) : blocks
  })
}

function edges(blocks: Block[]): number[] {
  const last = blocks.length - 1
  const indexes = Array.from({ length: EDGE_BLOCKS }, (_, offset) => [offset, last - offset]).flat()
  return [...new Set(indexes)].filter((index) => index >= 0 && index <= last)
}

function runningKey(block: Block): string | undefined {
  if (block.type !== 'paragraph' && block.type !== 'heading') return undefined
  if (block.text.length > MAX_RUNNING_LENGTH) return undefined
  const key = block.text
    .toLowerCase()
    .replace(/\d+|\b[ivxlc]+\b/g, '#')
    .replace(/[^\p{L}#]+/gu, ' ')
    .trim()
  return key === '' ? undefined : key
}

/** One list of blocks; what a page or column break tore apart is joined again. */
export function joinAcrossPages(pages: Block[][]): Block[] {
  const joined: Block[] = []
  for (const block of pages.flat()) if (!continued(joined.at(-1), block)) joined.push(block)
  return joined
}

/** Appends `next` to `last` where it is the rest of it. */
function continued(last: Block | undefined, next: Block): boolean {
  if (last?.type === 'paragraph' && next.type === 'paragraph' && continuesText(last.text, next.text)) {
    last.text = joinWrappedLines([last.text, next.text])
    return true
  }
  if (last?.type === 'table' && next.type === 'table' && continuesTable(last, next)) {
    for (const row of next.rows) last.rows.push(row)
    return true
  }
  const item = last?.type === 'list' ? last.items.at(-1) : undefined
  if (item && next.type === 'paragraph' && !/[.:;!?]$/.test(item.text) && /^\p{Ll}/u.test(next.text)) {
    item.text = joinWrappedLines([item.text, next.text])
    return true
  }
  if (last?.type === 'list' && next.type === 'list' && last.ordered === next.ordered) {
    for (const item of next.items) last.items.push(item)
    return true
  }
  return false
}

const OPEN_END = /[\p{Ll},\-\u2010]$/u

function continuesText(last: string, next: string): boolean {
  if (last.includes('\n') || next.includes('\n')) return false
  // A short piece is the end of something, or it is no text.
  if (next.length <= 20 && !/[.!?]$/.test(next)) return false
  return last.length > 40 && OPEN_END.test(last) && /^\p{Ll}/u.test(next)
}

function continuesTable(last: Table, next: Table): boolean {
  if (next.page !== (last.page ?? 0) + 1) return false
  const sameWidth = last.rows.at(-1)?.length === next.rows[0]?.length
  return sameWidth && (!next.header || JSON.stringify(next.header) === JSON.stringify(last.header))
}
