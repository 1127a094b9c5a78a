import { crc32, deflateSync } from 'node:zlib'

/** A PDF of one page with this content stream, written by hand. */
export function onePagePdf(content: Uint8Array, filters = ''): Buffer {
  const bodies = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Count 1 /Kids [4 0 R] >>',
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R /Resources << /Font << /F1 3 0 R >> >> >>',
  ].map((body) => Buffer.from(body))
  const stream = [Buffer.from(`<< /Length ${content.length} ${filters}>>\nstream\n`), content, '\nendstream']
  bodies.push(Buffer.concat(stream.map((part) => Buffer.from(part as string))))
  let pdf = Buffer.from('%PDF-1.4\n')
  const offsets = bodies.map((body, index) => {
    const at = pdf.length
    pdf = Buffer.concat([pdf, Buffer.from(`${index + 1} 0 obj\n`), body, Buffer.from('\nendobj\n')])
    return at
  })
  const rows = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')
  const table = `xref\n0 ${bodies.length + 1}\n0000000000 65535 f \n${rows}`
  const trailer = `trailer\n<< /Size ${bodies.length + 1} /Root 1 0 R >>\nstartxref\n${pdf.length}\n%%EOF\n`
  return Buffer.concat([pdf, Buffer.from(table + trailer)])
}

/** A kilobyte that unpacks, twice, to so much text that no reader is through with it within seconds. */
export function endlessPdf(): Buffer {
  const unpacked = Buffer.alloc(150 * 2 ** 20, 'BT /F1 9 Tf 10 10 Td (x) Tj ET\n')
  return onePagePdf(deflateSync(deflateSync(unpacked)), '/Filter [/FlateDecode /FlateDecode] ')
}

/** A zip archive of uncompressed files (APPNOTE 6.3, sections 4.3.7 to 4.3.16). */
export function zip(files: Record<string, string>): Buffer {
  const locals: Buffer[] = []
  const entries: Buffer[] = []
  let offset = 0
  for (const [name, text] of Object.entries(files)) {
    const data = Buffer.from(text)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt32LE(crc32(data), 10)
    common.writeUInt32LE(data.length, 14)
    common.writeUInt32LE(data.length, 18)
    common.writeUInt16LE(name.length, 22)
    const entry = Buffer.alloc(46)
    entry.write('PK\x01\x02', 'latin1')
    common.copy(entry, 6)
    entry.writeUInt32LE(offset, 42)
    entries.push(entry, Buffer.from(name))
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, Buffer.from(name), data])
    locals.push(local)
    offset += local.length
  }
  const directory = Buffer.concat(entries)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(entries.length / 2, 8)
  end.writeUInt16LE(entries.length / 2, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, directory, end])
}
