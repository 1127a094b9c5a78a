import { detectType, type SupportedType, type TypeHints } from './detect-type.ts'
import type { StructuredDocument } from './document.ts'
import { TooLargeError } from './errors.ts'
import { parseHtml } from './html.ts'
import { parseMarkdown } from './markdown.ts'
import { parsePlainText } from './plain-text.ts'

export interface ParseOptions extends TypeHints {
  maxInputBytes: number
  /** Pages after this many are left out, with a warning. */
  maxPages: number
  /** Read PDF without native code, after that has crashed on this file. */
  avoidNative?: boolean
}

export interface ParsedFile {
  fileType: SupportedType
  document: StructuredDocument
}

/** Reads a file of any supported type. Throws a `DocumentError`. Nothing is fetched, nothing in the file is run. */
export async function parseDocument(bytes: Uint8Array, options: ParseOptions): Promise<ParsedFile> {
  if (bytes.length > options.maxInputBytes) throw tooLarge(bytes.length, options.maxInputBytes)
  const fileType = await detectType(bytes, options)
  const document = await parse(bytes, fileType, options)
  document.title ??= titleFromHeadings(document)
  document.language ??= await detectLanguage(document)
  if (document.blocks.length === 0 && document.warnings.length === 0)
    document.warnings.push('The file has no text.')
  return { fileType, document }
}

export function tooLarge(bytes: number, limit: number): TooLargeError {
  const mebibytes = (number: number) => (number / 2 ** 20).toFixed(number < 2 ** 20 ? 2 : 0)
  return new TooLargeError(
    `The file has ${mebibytes(bytes)} MiB; at most ${mebibytes(limit)} MiB can be read. Split it.`,
  )
}

async function parse(
  bytes: Uint8Array,
  type: SupportedType,
  options: ParseOptions,
): Promise<StructuredDocument> {
  const charset = /charset\s*=\s*"?([\w.:-]+)/i.exec(options.declaredType ?? '')?.[1]
  if (type === 'text/markdown') return parseMarkdown(bytes)
  if (type === 'text/html') return parseHtml(bytes, charset)
  if (type === 'text/plain') return parsePlainText(bytes, charset)
  // Loaded when first needed: the PDF readers take 30 MB and a tenth of a second.
  const { parsePdf } = await import('./pdf.ts')
  return parsePdf(bytes, options)
}

/** The one outermost heading at the top. */
function titleFromHeadings({ blocks }: StructuredDocument): string | undefined {
  const headings = blocks.slice(0, 5).filter((block) => block.type === 'heading')
  const [first] = headings.sort((a, b) => a.level - b.level)
  return first && first.text.length <= 200 ? first.text : undefined
}

const SAMPLE_CHARACTERS = 2000

async function detectLanguage({ blocks }: StructuredDocument): Promise<string | undefined> {
  let sample = ''
  for (const block of blocks) {
    if (block.type === 'paragraph' || block.type === 'quotation') sample += `${block.text}\n`
    else if (block.type === 'list') sample += `${block.items[0]?.text ?? ''}\n`
    if (sample.length >= SAMPLE_CHARACTERS) break
  }
  // On less than a sentence the guess is no better than chance.
  if (sample.replace(/[^\p{L}]/gu, '').length < 40) return undefined
  const { detect } = await import('tinyld')
  return detect(sample.slice(0, SAMPLE_CHARACTERS)) || undefined
}
