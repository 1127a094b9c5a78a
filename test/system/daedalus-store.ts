import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { openS3Blobs } from '@mnemosyne/platform'
import type { S3Bucket } from '@mnemosyne/platform/testing'
import { locationOf, surroundings } from './stores.ts'

/** Where Daedalus keeps its files, and requests to ingest them. */
export abstract class DaedalusStore {
  abstract write(s3_key: string, bytes: Uint8Array): Promise<void>

  /** Every key in it, with the SHA-256 of its bytes in hex. */
  abstract contents(): Promise<Map<string, string>>

  /** Stores a file, and returns what Daedalus posts to have it ingested. */
  async put(
    s3_key: string,
    content: string | Uint8Array,
    more: Record<string, unknown> = {},
  ): Promise<Record<string, unknown>> {
    const bytes = Buffer.from(content)
    await this.write(s3_key, bytes)
    return {
      s3_key,
      title: s3_key.split('/').at(-1),
      file_type: 'text/markdown',
      file_size: bytes.length,
      content_hash: sha256(bytes),
      source: 'daedalus',
      source_ref: s3_key,
      ...more,
    }
  }
}

export class DaedalusFolder extends DaedalusStore {
  readonly dir: string

  constructor(dir: string) {
    super()
    this.dir = dir
  }

  get env(): Record<string, string> {
    return { DAEDALUS_STORAGE_DIR: this.dir }
  }

  async write(s3_key: string, bytes: Uint8Array): Promise<void> {
    await mkdir(dirname(join(this.dir, s3_key)), { recursive: true })
    await writeFile(join(this.dir, s3_key), bytes)
  }

  async contents(): Promise<Map<string, string>> {
    const entries = await readdir(this.dir, { recursive: true, withFileTypes: true })
    const paths = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
    const hashes = paths.map(
      async (path) => [relative(this.dir, path), sha256(await readFile(path))] as const,
    )
    return new Map(await Promise.all(hashes))
  }
}

/** A bucket of Daedalus's own, which ingest may only read. */
export class DaedalusBucket extends DaedalusStore {
  readonly bucket: S3Bucket

  constructor(bucket: S3Bucket) {
    super()
    this.bucket = bucket
  }

  async write(s3_key: string, bytes: Uint8Array): Promise<void> {
    await using blobs = await openS3Blobs({ ...locationOf(this.bucket), ...surroundings() })
    await blobs.put(s3_key, bytes)
  }

  async contents(): Promise<Map<string, string>> {
    await using blobs = await openS3Blobs({ ...locationOf(this.bucket), ...surroundings() })
    const contents = new Map<string, string>()
    for await (const key of blobs.list('')) contents.set(key, sha256(await blobs.read(key, 1 << 28)))
    return contents
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
