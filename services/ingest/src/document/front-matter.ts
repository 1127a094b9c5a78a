import { cleanLine } from './clean-text.ts'
import type { StructuredDocument } from './document.ts'

type Metadata = Partial<Pick<StructuredDocument, 'title' | 'authors' | 'date' | 'language'>>

const MAX_LINES = 200

/**
 * Takes the front matter off a Markdown file. Understood are flat keys in YAML (between lines of `---`) or TOML
 * (`+++`) with strings and lists of strings; everything else in it is ignored.
 */
export function readFrontMatter(text: string): { metadata: Metadata; body: string } {
  const fence = /^(---|\+\+\+)[ \t]*\n/.exec(text)
  if (!fence) return { metadata: {}, body: text }
  const closing = fence[1] === '---' ? /\n(?:---|\.\.\.)[ \t]*(?:\n|$)/g : /\n\+\+\+[ \t]*(?:\n|$)/g
  closing.lastIndex = fence[0].length - 1
  const end = closing.exec(text)
  const lines = end && text.slice(fence[0].length, end.index).split('\n')
  // A thematic break at the top of a document looks the same, but no keys follow it.
  if (!end || !lines || lines.length > MAX_LINES || !lines.some((line) => /^[\w-]+\s*[:=]/.test(line))) {
    return { metadata: {}, body: text }
  }
  return { metadata: toMetadata(readKeys(lines)), body: text.slice(end.index + end[0].length) }
}

function readKeys(lines: string[]): Map<string, string[]> {
  const keys = new Map<string, string[]>()
  let current: string[] | undefined
  for (const line of lines) {
    const entry = /^([\w-]+)\s*[:=]\s*(.*)$/.exec(line)
    const item = /^\s*-\s+(?:name:\s*)?(.+)$/.exec(line)
    if (entry) {
      current = readValues(entry[2]!)
      keys.set(entry[1]!.toLowerCase(), current)
    } else if (item && current) current.push(unquote(item[1]!))
  }
  return keys
}

function readValues(value: string): string[] {
  const list = /^\[(.*)\]\s*$/.exec(value)
  const values = list ? list[1]!.split(',') : [value]
  return values.map(unquote).filter((each) => each !== '')
}

function unquote(value: string): string {
  return cleanLine(value.trim().replace(/^(["'])(.*)\1$/, '$2'))
}

function toMetadata(keys: Map<string, string[]>): Metadata {
  const first = (...names: string[]) => names.map((name) => keys.get(name)?.[0]).find(Boolean)
  const title = first('title')
  const date = first('date', 'published', 'created')
  const language = first('lang', 'language')?.slice(0, 2).toLowerCase()
  return {
    authors: keys.get('authors') ?? keys.get('author') ?? [],
    ...(title && { title }),
    ...(date && { date }),
    ...(language && { language }),
  }
}
