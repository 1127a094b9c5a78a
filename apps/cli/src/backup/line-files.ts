import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { BackupError } from './errors.ts'
import { syncFolder } from './manifest.ts'

export type Row = Record<string, unknown>

export interface WrittenFile {
  file: string
  bytes: number
  sha256: string
}

/** JSON lines, compressed; the file is there whole and durable, or not at all. */
export async function writeLines(
  dir: string,
  file: string,
  pages: AsyncIterable<readonly Row[]>,
): Promise<WrittenFile & { rows: number }> {
  const path = join(dir, file)
  const temporary = `${path}.new`
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const hash = createHash('sha256')
  let rows = 0
  let bytes = 0
  async function* lines() {
    for await (const page of pages) {
      rows += page.length
      yield page.map((row) => `${JSON.stringify(encode(row))}\n`).join('')
    }
  }
  async function* measured(chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      bytes += chunk.length
      hash.update(chunk)
      yield chunk
    }
  }
  const target = createWriteStream(temporary, { mode: 0o600, flush: true })
  try {
    await pipeline(Readable.from(lines()), createGzip(), measured, target)
  } catch (error) {
    await rm(temporary, { force: true })
    throw explained(error)
  }
  await rename(temporary, path)
  await syncFolder(dirname(path))
  return { file, rows, bytes, sha256: hash.digest('hex') }
}

/** What {@link writeLines} wrote, in pages of at most `size` rows. */
export async function* readLines(dir: string, file: string, size = 500): AsyncGenerator<Row[]> {
  // Not by node:readline, for which U+2028 inside of a string ends a line, too.
  let rest = ''
  let page: Row[] = []
  const text = createReadStream(join(dir, file)).pipe(createGunzip()).setEncoding('utf8')
  for await (const piece of text) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      page.push(decode(JSON.parse(line)))
      if (page.length < size) continue
      yield page
      page = []
    }
  }
  if (page.length > 0) yield page
}

/** Throws `BackupError` unless the file is what was written. */
export async function checkFile(dir: string, { file, bytes, sha256 }: WrittenFile): Promise<void> {
  const hash = createHash('sha256')
  let read = 0
  try {
    for await (const chunk of createReadStream(join(dir, file))) {
      hash.update(chunk)
      read += chunk.length
    }
  } catch (cause) {
    throw new BackupError('BACKUP_DAMAGED', `${join(dir, file)} cannot be read.`, { cause })
  }
  if (read !== bytes || hash.digest('hex') !== sha256) throw damaged(join(dir, file))
}

export const damaged = (path: string) =>
  new BackupError(
    'BACKUP_DAMAGED',
    `${path} is not as it was written: it is damaged or was changed. Nothing can be restored from this backup; take another one.`,
  )

/** Columns by name, so that equal rows make equal lines whatever database they come from. */
function encode(row: Row): Row {
  const columns = Object.keys(row).sort()
  return Object.fromEntries(columns.map((column) => [column, encodeValue(row[column])]))
}

function encodeValue(value: unknown): unknown {
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value
}

function decode(row: Row): Row {
  return Object.fromEntries(Object.entries(row).map(([column, value]) => [column, decodeValue(value)]))
}

function decodeValue(value: unknown): unknown {
  const isBlob = typeof value === 'object' && value !== null && 'base64' in value
  return isBlob ? Uint8Array.from(Buffer.from(String(value.base64), 'base64')) : value
}

/** A full disk in words. */
function explained(error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  const message =
    'No space is left for the backup. Free some space, then run the same command again: it goes on.'
  return new BackupError('BACKUP_INCOMPLETE', message, { cause: error })
}
