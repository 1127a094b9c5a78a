import { createHash } from 'node:crypto'
import { deflateSync } from 'node:zlib'

export interface PdfPage {
  /** Lines from the top, in Helvetica 11. */
  lines?: string[]
  /** A content stream instead; fonts are /F1 Helvetica, /F2 Helvetica-Bold, /F3 Courier. */
  content?: string | Buffer
  /** The content is already compressed with deflate. */
  deflated?: boolean
}

export interface PdfOptions {
  title?: string
  author?: string
  /** Titles with page indexes. */
  outline?: [string, number][]
  /** `user`: a password is needed to open; `owner`: only to change. */
  encrypt?: 'user' | 'owner'
}

/** A minimal PDF 1.4, written by hand so that tests need no files of others. */
export function buildPdf(
  pages: PdfPage[],
  { title, author, outline = [], encrypt }: PdfOptions = {},
): Buffer {
  const objects: (string | Buffer)[] = []
  const add = (body: string | Buffer) => objects.push(body)
  const cipher = encrypt && newCipher(encrypt)
  const stream = (data: Buffer, extra = '') => {
    const bytes = cipher ? cipher.encrypt(data, objects.length + 1) : data
    return add(
      Buffer.concat([
        Buffer.from(`<< /Length ${bytes.length} ${extra}>>\nstream\n`),
        bytes,
        Buffer.from('\nendstream'),
      ]),
    )
  }
  add('') // 1: the catalog
  add('') // 2: the page tree
  for (const font of ['Helvetica', 'Helvetica-Bold', 'Courier']) {
    add(`<< /Type /Font /Subtype /Type1 /BaseFont /${font} /Encoding /WinAnsiEncoding >>`)
  }
  const pageNumbers = pages.map((page) => {
    const data = page.content === undefined ? textContent(page.lines ?? []) : page.content
    const content = stream(Buffer.from(data), page.deflated ? '/Filter /FlateDecode ' : '')
    return add(
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${content} 0 R /Resources << /Font << /F1 3 0 R /F2 4 0 R /F3 5 0 R >> >> >>`,
    )
  })
  const outlines = addOutline(objects, outline, pageNumbers)
  objects[0] = `<< /Type /Catalog /Pages 2 0 R ${outlines ? `/Outlines ${outlines} 0 R ` : ''}>>`
  objects[1] = `<< /Type /Pages /Count ${pages.length} /Kids [${pageNumbers.map((number) => `${number} 0 R`).join(' ')}] >>`
  const entries = [title && `/Title (${escaped(title)})`, author && `/Author (${escaped(author)})`].filter(
    Boolean,
  )
  const info = add(`<< ${entries.join(' ')} >>`)
  const encryption = cipher && add(cipher.dictionary)
  const trailer = `/Info ${info} 0 R ${encryption ? `/Encrypt ${encryption} 0 R /ID [<${ID}> <${ID}>] ` : ''}`
  return write(objects, trailer)
}

/** A page whose content stream is a few kilobytes and unpacks to `mebibytes` of drawing operators. */
export function bombPage(mebibytes: number): PdfPage {
  const unit = 'BT /F1 9 Tf 10 10 Td (x) Tj ET\n'
  return { content: deflateSync(Buffer.alloc(mebibytes * 2 ** 20, unit), { level: 9 }), deflated: true }
}

export function textContent(lines: string[], font = 'F1', size = 11): string {
  const shown = lines.map((line) => `(${escaped(line)}) Tj T*`).join('\n')
  return `BT /${font} ${size} Tf 72 720 Td ${size * 1.3} TL\n${shown}\nET`
}

function escaped(text: string): string {
  return text.replace(/[\\()]/g, '\\$&')
}

function addOutline(
  objects: (string | Buffer)[],
  outline: [string, number][],
  pages: number[],
): number | undefined {
  if (outline.length === 0) return undefined
  const root = objects.length + 1
  objects.push(
    `<< /Type /Outlines /Count ${outline.length} /First ${root + 1} 0 R /Last ${root + outline.length} 0 R >>`,
  )
  outline.forEach(([title, page], index) => {
    const next = index + 1 < outline.length ? `/Next ${root + index + 2} 0 R ` : ''
    const previous = index > 0 ? `/Prev ${root + index} 0 R ` : ''
    objects.push(
      `<< /Title (${escaped(title)}) /Parent ${root} 0 R ${next}${previous}/Dest [${pages[page]} 0 R /Fit] >>`,
    )
  })
  return root
}

function write(objects: (string | Buffer)[], trailer: string): Buffer {
  const parts: Buffer[] = [Buffer.from('%PDF-1.4\n%\xe2\xe3\xcf\xd3\n', 'latin1')]
  const offsets: number[] = []
  let length = parts[0]!.length
  const push = (part: Buffer) => {
    parts.push(part)
    length += part.length
  }
  objects.forEach((body, index) => {
    offsets.push(length)
    push(
      Buffer.concat([
        Buffer.from(`${index + 1} 0 obj\n`),
        Buffer.from(body as string, 'latin1'),
        Buffer.from('\nendobj\n'),
      ]),
    )
  })
  const start = length
  const rows = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')
  push(Buffer.from(`xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}`))
  push(
    Buffer.from(
      `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R ${trailer}>>\nstartxref\n${start}\n%%EOF\n`,
    ),
  )
  return Buffer.concat(parts)
}

// Standard security handler, revision 2 (ISO 32000-1, 7.6.3): 40-bit RC4.
const PADDING = Buffer.from('28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A', 'hex')
const ID = '0123456789abcdef0123456789abcdef'
const OWNER_ENTRY = createHash('sha256').update('owner').digest()
const PERMISSIONS = -44

function newCipher(kind: 'user' | 'owner') {
  const password = kind === 'user' ? Buffer.from('heron') : Buffer.alloc(0)
  const permissions = Buffer.alloc(4)
  permissions.writeInt32LE(PERMISSIONS)
  const padded = Buffer.concat([password, PADDING]).subarray(0, 32)
  const key = md5(Buffer.concat([padded, OWNER_ENTRY, permissions, Buffer.from(ID, 'hex')])).subarray(0, 5)
  const userEntry = rc4(key, PADDING)
  return {
    dictionary: `<< /Filter /Standard /V 1 /R 2 /O <${OWNER_ENTRY.toString('hex')}> /U <${userEntry.toString('hex')}> /P ${PERMISSIONS} >>`,
    encrypt: (data: Buffer, object: number) =>
      rc4(md5(Buffer.concat([key, Buffer.from([object & 255, object >> 8, 0, 0, 0])])).subarray(0, 10), data),
  }
}

function md5(data: Buffer): Buffer {
  return createHash('md5').update(data).digest()
}

function rc4(key: Buffer, data: Buffer): Buffer {
  const state = Uint8Array.from({ length: 256 }, (_, index) => index)
  const swap = (a: number, b: number) => ([state[a], state[b]] = [state[b]!, state[a]!])
  for (let i = 0, j = 0; i < 256; i += 1) {
    j = (j + state[i]! + key[i % key.length]!) & 255
    swap(i, j)
  }
  let [i, j] = [0, 0]
  return Buffer.from(
    data.map((byte) => {
      i = (i + 1) & 255
      j = (j + state[i]!) & 255
      swap(i, j)
      return byte ^ state[(state[i]! + state[j]!) & 255]!
    }),
  )
}
