import { createHash } from 'node:crypto'
import { BlobNotFoundError, type BlobStore, type StoredBlob } from '@mnemosyne/platform'

/** Copies blobs from one store to another, and knows what it has copied. */
export class BlobCopies {
  readonly #from: BlobStore
  readonly #to: BlobStore
  readonly #signal: AbortSignal | undefined
  readonly entries = new Map<string, StoredBlob>()

  constructor(from: BlobStore, to: BlobStore, signal?: AbortSignal) {
    this.#from = from
    this.#to = to
    this.#signal = signal
  }

  /**
   * Leaves alone what is there already with the same content. With `sha256` the original's content is known, and is
   * not read for that. False when there is no such blob (any more).
   */
  async copy(key: string, sha256?: string): Promise<boolean> {
    this.#signal?.throwIfAborted()
    try {
      const there = await this.#sameThere(key, sha256)
      const { stream } = there ? {} : await this.#from.open(key)
      const stored = there ?? (await this.#to.put(key, stream!, { signal: this.#signal }))
      this.entries.set(key, stored)
      return true
    } catch (error) {
      if (!(error instanceof BlobNotFoundError)) throw error
      this.entries.delete(key)
      return false
    }
  }

  async #sameThere(key: string, sha256: string | undefined): Promise<StoredBlob | undefined> {
    const local = await this.#to.head(key)
    if (!local) return undefined
    const source = await this.#from.head(key)
    if (!source) throw new BlobNotFoundError(key)
    if (source.bytes !== local.bytes) return undefined
    const wanted = sha256 ?? (await hashOf(this.#from, key)).sha256
    const stored = await hashOf(this.#to, key)
    return stored.sha256 === wanted ? stored : undefined
  }
}

/** Reads a blob to its end. Throws `BlobNotFoundError`. */
export async function hashOf(blobs: BlobStore, key: string): Promise<StoredBlob> {
  const hash = createHash('sha256')
  const { stream } = await blobs.open(key)
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Runs `work` on each, `atOnce` at a time. The first failure stops it, when what was begun has ended. */
export async function forEach<T>(
  items: AsyncIterable<T> | Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const running = new Set<Promise<void>>()
  let failure: { error: unknown } | undefined
  for await (const item of items) {
    const one: Promise<void> = work(item)
      .then(
        () => {},
        (error: unknown) => {
          failure ??= { error }
        },
      )
      .finally(() => running.delete(one))
    running.add(one)
    if (running.size >= atOnce) await Promise.race(running)
    if (failure) break
  }
  await Promise.all(running)
  if (failure) throw failure.error
}
