import type { Block, RenderedDocument, StructuredDocument, TextRange } from '../document/document.ts'
import type { Strategy } from './strategies.ts'

/** A heading with all that stands under it; the root has no title. */
export interface Section {
  title: string
  level: number
  parent: Section | undefined
  /** Titles from the outside in, without an outermost one that is the document's title. */
  path: string[]
}

/** A block, or the part of one that is left when its first line was a heading. */
export interface Passage {
  section: Section
  block: Block
  range: TextRange
  /** Of list items and table rows. */
  parts: TextRange[] | undefined
  /** The passage is the section's own heading. */
  isHeading: boolean
}

/** Longer "headings" are text in large print. */
const MAX_HEADING_LENGTH = 200

/** Assigns each block to its section. A strategy may find headings among the paragraphs. */
export function outline(
  document: Pick<StructuredDocument, 'blocks' | 'title'>,
  { text, blockRanges, partRanges }: RenderedDocument,
  strategy: Strategy,
): Passage[] {
  const passages: Passage[] = []
  const documentTitle = titleKey(document.title ?? '')
  let section: Section = { title: '', level: 0, parent: undefined, path: [] }
  const open = (title: string, level: number) => {
    let parent: Section = section
    while (parent.level >= level && parent.parent) parent = parent.parent
    // Whoever shows a path shows the document's title before it.
    const isDocument = !parent.parent && documentTitle !== '' && titleKey(title) === documentTitle
    section = { title, level, parent, path: isDocument ? [] : [...parent.path, title] }
  }
  document.blocks.forEach((block, index) => {
    const range = blockRanges[index]!
    if (range.start === range.end) return
    const parts = partRanges[index]
    if (block.type === 'heading' && block.text.length <= MAX_HEADING_LENGTH) {
      open(block.text, block.level)
      passages.push({ section, block, range, parts, isHeading: true })
      return
    }
    const firstLine = firstLineOf(text, range)
    const level =
      block.type === 'paragraph'
        ? strategy.headingLevel?.(text.slice(firstLine.start, firstLine.end))
        : undefined
    if (level === undefined) {
      passages.push({ section, block, range, parts, isHeading: false })
      return
    }
    open(text.slice(firstLine.start, firstLine.end), level)
    passages.push({ section, block, range: firstLine, parts, isHeading: true })
    const rest = { start: firstLine.end + 1, end: range.end }
    if (rest.start < rest.end) passages.push({ section, block, range: rest, parts, isHeading: false })
  })
  return passages
}

function titleKey(title: string): string {
  return title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '')
}

function firstLineOf(text: string, { start, end }: TextRange): TextRange {
  const feed = text.slice(start, Math.min(end, start + MAX_HEADING_LENGTH + 1)).indexOf('\n')
  return { start, end: feed === -1 ? end : start + feed }
}
