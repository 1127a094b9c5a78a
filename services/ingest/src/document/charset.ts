import iconv from 'iconv-lite'
import jschardet from 'jschardet'

export interface Decoded {
  text: string
  encoding: string
  /** Byte sequences that the encoding does not allow were replaced by U+FFFD. */
  damaged: boolean
}

const BOMS: [number[], string][] = [
  [[0xef, 0xbb, 0xbf], 'utf-8'],
  [[0xff, 0xfe, 0x00, 0x00], 'utf-32le'],
  [[0x00, 0x00, 0xfe, 0xff], 'utf-32be'],
  [[0xff, 0xfe], 'utf-16le'],
  [[0xfe, 0xff], 'utf-16be'],
]
const SAMPLE_BYTES = 256 * 1024

/**
 * Decodes text of unknown encoding: byte order mark; UTF-16 or UTF-32 by where the zero bytes stand; UTF-8 when
 * the bytes are valid UTF-8, whatever a label says (no other encoding yields valid UTF-8 by chance); then the
 * first of `labels` that is known and not UTF-8; then statistics; at last windows-1252.
 */
export function decodeText(bytes: Uint8Array, labels: (string | undefined)[] = []): Decoded {
  const marked = byteOrderMark(bytes)
  if (marked) return decodeAs(bytes.subarray(marked[0].length), marked[1])
  const wide = unmarkedWideEncoding(bytes)
  if (wide) return decodeAs(bytes, wide)
  if (!usesEscapes(bytes)) {
    const utf8 = decodeStrictUtf8(bytes)
    if (utf8 !== undefined) return { text: utf8, encoding: 'utf-8', damaged: false }
    if (mostlyUtf8(bytes)) return decodeAs(bytes, 'utf-8')
  }
  const label = labels.find((each) => each && !/^utf-?8/i.test(each) && isKnown(each))
  return decodeAs(bytes, label ?? detect(bytes))
}

function decodeStrictUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function decodeAs(bytes: Uint8Array, encoding: string): Decoded {
  const text = iconv.encodingExists(encoding)
    ? iconv.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), encoding)
    : new TextDecoder(encoding).decode(bytes)
  return { text, encoding: encoding.toLowerCase(), damaged: text.includes('\ufffd') }
}

/** ISO-2022-JP is known to the platform only, most others to iconv-lite only. */
function isKnown(encoding: string): boolean {
  if (iconv.encodingExists(encoding)) return true
  try {
    return new TextDecoder(encoding).encoding !== ''
  } catch {
    return false
  }
}

/** ISO-2022 and HZ are pure ASCII to the eye of UTF-8. */
function usesEscapes(bytes: Uint8Array): boolean {
  const sample = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, SAMPLE_BYTES))
  return sample.includes('\x1b$') || sample.includes('\x1b(')
}

/** Text in units of two or four bytes, whose bytes would look like binary data. */
export function isWideText(bytes: Uint8Array): boolean {
  return (byteOrderMark(bytes)?.[0].length ?? 3) !== 3 || unmarkedWideEncoding(bytes) !== undefined
}

function byteOrderMark(bytes: Uint8Array): (typeof BOMS)[number] | undefined {
  return BOMS.find(([mark]) => mark.every((byte, index) => bytes[index] === byte))
}

/** UTF-32 by its zero bytes; UTF-16 by one of each two bytes having few values, zero (a blank's) among them. */
function unmarkedWideEncoding(bytes: Uint8Array): string | undefined {
  const length = Math.min(bytes.length, 4096) & ~3
  if (length < 8) return undefined
  const zeros = [0, 0, 0, 0]
  const counts: [Map<number, number>, Map<number, number>] = [new Map(), new Map()]
  for (let index = 0; index < length; index += 1) {
    const byte = bytes[index]!
    if (byte === 0) zeros[index & 3]! += 1
    const half = counts[(index & 1) as 0 | 1]
    half.set(byte, (half.get(byte) ?? 0) + 1)
  }
  const [a, b, c, d] = zeros.map((count) => count / (length / 4)) as [number, number, number, number]
  if (a > 0.9 && b > 0.9 && d < 0.1) return 'utf-32be'
  if (c > 0.9 && d > 0.9 && a < 0.1) return 'utf-32le'
  if (isHighHalf(counts[0], counts[1])) return 'utf-16be'
  return isHighHalf(counts[1], counts[0]) ? 'utf-16le' : undefined
}

function isHighHalf(high: Map<number, number>, low: Map<number, number>): boolean {
  const total = [...high.values()].reduce((sum, count) => sum + count, 0)
  const common = [...high.values()].sort((one, two) => two - one).slice(0, 3)
  const share = common.reduce((sum, count) => sum + count, 0) / total
  const zeros = (high.get(0) ?? 0) / total
  return (
    share > 0.95 && zeros > 0.05 && (low.get(0) ?? 0) / total < 0.05 && low.size >= Math.min(8, total / 2)
  )
}

/** UTF-8 with a few broken bytes: far more multi-byte sequences are whole than broken. */
function mostlyUtf8(bytes: Uint8Array): boolean {
  const text = new TextDecoder('utf-8').decode(bytes.subarray(0, SAMPLE_BYTES))
  let whole = 0
  let broken = 0
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit === 0xfffd) broken += 1
    else if (unit > 0x7f) whole += 1
  }
  return whole > 4 * broken
}

// Names that jschardet gives and iconv-lite does not know.
const ALIASES: Record<string, string> = {
  'utf-8-sig': 'utf-8',
  'iso-8859-8-i': 'iso-8859-8',
  'x-iso-10646-ucs-4-3412': 'utf-32be',
  'x-iso-10646-ucs-4-2143': 'utf-32be',
}

function detect(bytes: Uint8Array): string {
  const sample = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, SAMPLE_BYTES))
  const guess = jschardet.detect(sample).encoding?.toLowerCase()
  const name = guess && (ALIASES[guess] ?? guess)
  return name && name !== 'ascii' && isKnown(name) ? name : 'windows-1252'
}
