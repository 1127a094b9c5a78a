import type { ChunkDetail } from '@mnemosyne/graph'

/** Whether `b` is the passage after `a` in the same document. */
export function follows(a: ChunkDetail, b: ChunkDetail): boolean {
  return a.item_uid === b.item_uid && a.chunk_index + 1 === b.chunk_index
}

/** Where and what passages are together that follow one another, in reading order. */
export function joinedPassage(parts: ChunkDetail[]) {
  const first = parts[0]!
  return {
    text: parts.slice(1).reduce(continued, { text: first.text, last: first }).text,
    section_path: parts.map((part) => part.section_path).reduce(commonPath),
    page: parts.find(({ page }) => page !== null)?.page ?? null,
    char_start: Math.min(...parts.map((part) => part.char_start)),
    char_end: Math.max(...parts.map((part) => part.char_end)),
  }
}

/**
 * A chunk's text is what it repeats for context, such as its headings, then the range of the document that it covers.
 * Of the next chunk, what the text ends with already is left out, and the headings where they are still the same.
 */
function continued({ text, last }: { text: string; last: ChunkDetail }, next: ChunkDetail) {
  const { context, body } = parted(next)
  const overlap = last.char_end - next.char_start
  const repeated = overlap > 0 && text.endsWith(body.slice(0, overlap)) ? overlap : 0
  const added = body.slice(repeated)
  const isSameContext = context === parted(last).context
  const between = repeated > 0 || overlap === 0 ? '' : overlap === -1 ? ' ' : '\n\n'
  return { text: text + (isSameContext || context === '' ? between : `\n\n${context}`) + added, last: next }
}

function parted({ text, char_start, char_end }: ChunkDetail): { context: string; body: string } {
  const start = Math.max(0, text.length - Math.max(0, char_end - char_start))
  return { context: text.slice(0, start), body: text.slice(start) }
}

function commonPath(a: string[], b: string[]): string[] {
  const end = a.findIndex((heading, depth) => heading !== b[depth])
  return end < 0 ? a : a.slice(0, end)
}
