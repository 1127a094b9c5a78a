import { fileTypeFromBuffer } from 'file-type'
import { isWideText } from './charset.ts'
import { EmptyFileError, UnsupportedFormatError } from './errors.ts'

export const SUPPORTED_TYPES = ['application/pdf', 'text/html', 'text/markdown', 'text/plain'] as const
export type SupportedType = (typeof SUPPORTED_TYPES)[number]

const SUPPORTED_IN_WORDS = 'PDF, HTML, Markdown and plain text'

const NAMES: Record<string, string> = {
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'a Word document',
  'application/vnd.openxmlformats-officedocument.presentationml.presentation': 'a PowerPoint presentation',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'an Excel workbook',
  'application/vnd.oasis.opendocument.text': 'an OpenDocument text',
  'application/epub+zip': 'an EPUB book',
  'application/rtf': 'an RTF document',
  'application/x-mobipocket-ebook': 'a MOBI book',
  'application/x-cfb': 'an older or encrypted Office document',
  'application/zip': 'a zip archive',
  'application/octet-stream': 'binary data of an unknown kind',
}

const TEXT_EXTENSIONS: Record<string, SupportedType> = {
  md: 'text/markdown',
  markdown: 'text/markdown',
  mdown: 'text/markdown',
  mkd: 'text/markdown',
  htm: 'text/html',
  html: 'text/html',
  xhtml: 'text/html',
  txt: 'text/plain',
  text: 'text/plain',
  log: 'text/plain',
}

/** Formats of printable characters that are read by no person. */
const WRITTEN_AS_TEXT = new Set([
  'application/rtf',
  'application/postscript',
  'application/eps',
  'application/pgp-encrypted',
  'model/stl',
])

export interface TypeHints {
  /** MIME type as declared by whoever sent the file; parameters are ignored. */
  declaredType?: string
  fileName?: string
}

/**
 * The type of a file by its bytes; the hints only tell kinds of text apart.
 * Throws `EmptyFileError`, or `UnsupportedFormatError` that names what the file is.
 */
export async function detectType(bytes: Uint8Array, hints: TypeHints = {}): Promise<SupportedType> {
  if (bytes.length === 0) throw new EmptyFileError()
  if (isPdf(bytes)) return 'application/pdf'
  const head = bytes.subarray(0, 64 * 1024)
  const binary = (await fileTypeFromBuffer(bytes).catch(() => undefined))?.mime
  if (binary && !isTextual(binary) && (WRITTEN_AS_TEXT.has(binary) || !isPlainText(head)))
    throw unsupported(binary)
  if (!binary && !isWideText(head) && looksBinary(head)) throw unsupported('application/octet-stream')
  return textType(head, hints)
}

function unsupported(type: string): UnsupportedFormatError {
  const name = NAMES[type] ?? `of type ${type}`
  return new UnsupportedFormatError(
    type,
    `The file is ${name}, which cannot be read. Readable are ${SUPPORTED_IN_WORDS}: save or export it as one of these.`,
  )
}

/** Readers accept up to 1,024 bytes of rubbish before the header. */
function isPdf(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 1024 + 5))
  const at = start.indexOf('%PDF-')
  return at === 0 || (at > 0 && !/^\s*[#<\w]/.test(start.subarray(0, at).toString('latin1')))
}

function isTextual(type: string): boolean {
  return (
    type.startsWith('text/') ||
    /xml$/.test(type) ||
    type === 'application/x-ft-windows-registry' ||
    type === 'application/json'
  )
}

/**
 * Text as it is written, whatever its first letters happen to be the signature of: "The free…" is QuickTime's, "BMW…" a
 * bitmap's, "ID3…" a song's. What is no text has bytes of control in its head, or is neither UTF-8 nor mostly ASCII.
 */
function isPlainText(head: Uint8Array): boolean {
  let beyondAscii = 0
  for (const byte of head) {
    if (byte === 0x7f || (byte < 0x20 && (byte < 0x09 || byte > 0x0d))) return false
    if (byte > 0x7f) beyondAscii += 1
  }
  return beyondAscii < head.length * 0.3 || isUtf8(head)
}

/** Whose last character may be cut. */
function isUtf8(head: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
    return true
  } catch {
    return false
  }
}

/** Bytes that occur in no text of any encoding, in number; zero bytes may be UTF-16 or a stray. */
function looksBinary(head: Uint8Array): boolean {
  let control = 0
  for (const byte of head)
    if (byte < 0x20 && (byte < 0x07 || byte > 0x0d) && byte !== 0x1b && byte !== 0) control += 1
  return control > head.length * 0.02 + 2
}

function textType(head: Uint8Array, { declaredType, fileName }: TypeHints): SupportedType {
  const start = Buffer.from(head).toString('latin1').replaceAll('\0', '')
  const extension = fileName?.toLowerCase().match(/\.(\w+)$/)?.[1]
  const hinted = extension && TEXT_EXTENSIONS[extension]
  if (hinted === 'text/markdown') return hinted
  const html =
    /^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--[\s\S]{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b/i
  if (html.test(start)) return 'text/html'
  if (hinted) return hinted
  const declared = declaredType?.split(';')[0]?.trim().toLowerCase()
  const known = SUPPORTED_TYPES.find((type) => type === declared && type !== 'application/pdf')
  if (known) return known
  if (declared === 'application/xhtml+xml') return 'text/html'
  if (/^\s*<(?:div|p|h[1-6]|table|ul|article|section|main)\b[\s\S]*<\//i.test(start)) return 'text/html'
  return 'text/plain'
}
