import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  BlobKeyError,
  BlobNotFoundError,
  BlobRangeError,
  type BlobSource,
  type BlobStore,
  BlobTooLargeError,
} from '../blobs/port.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

/** What a blob store promises. `open` makes an empty one. */
export function blobsContract(name: string, open: () => Promise<BlobStore>): void {
  describe(name, () => {
    let store: BlobStore
    beforeEach(async () => {
      store = await open()
      return () => store.close()
    })
    const keys = (prefix = '') => Readable.from(store.list(prefix)).toArray()
    const text = async (key: string) => new TextDecoder().decode(await store.read(key, 1_000_000))
    const streamed = async (key: string, range?: { start: number; end?: number }) => {
      const { stream, ...sizes } = await store.open(key, range)
      return { ...sizes, text: Buffer.concat(await stream.toArray()).toString() }
    }

    it('is reachable', () => store.ping())

    describe('put', () => {
      it.each<[string, () => Readable | Uint8Array, string]>([
        ['bytes', () => bytes('hello'), 'hello'],
        ['a stream of buffers', () => Readable.from([Buffer.from('hel'), Buffer.from('lo')]), 'hello'],
        ['a stream of text', () => Readable.from(['hé', 'llo']), 'héllo'],
        ['nothing', () => new Uint8Array(), ''],
        ['an empty stream', () => Readable.from([]), ''],
      ])('stores %s and tells size and hash', async (_, body, expected) => {
        const stored = await store.put('a/b', body())
        expect(stored).toEqual({ bytes: bytes(expected).length, sha256: sha256(bytes(expected)) })
        expect(await text('a/b')).toBe(expected)
        expect(await streamed('a/b')).toEqual({
          bytes: stored.bytes,
          totalBytes: stored.bytes,
          text: expected,
        })
      })

      it('stores megabytes unchanged', async () => {
        const data = randomBytes(20_000_000)
        const chunks = Array.from({ length: 20 }, (_, n) => data.subarray(n * 1_000_000, (n + 1) * 1_000_000))
        expect(await store.put('large', Readable.from(chunks))).toEqual({
          bytes: data.length,
          sha256: sha256(data),
        })
        expect(sha256(await store.read('large', data.length))).toBe(sha256(data))
      })

      it('replaces', async () => {
        await store.put('a', bytes('a longer first'))
        await store.put('a', bytes('second'))
        expect(await text('a')).toBe('second')
        expect(await keys()).toEqual(['a'])
      })

      it('lets a reader finish what it has opened', async () => {
        await store.put('a', bytes('first'))
        const { stream } = await store.open('a')
        await store.put('a', bytes('second'))
        expect(Buffer.concat(await stream.toArray()).toString()).toBe('first')
      })

      it('leaves the last of many at once, whole', async () => {
        const bodies = Array.from({ length: 10 }, (_, n) => `${n}`.repeat(100_000))
        await Promise.all(bodies.map((body) => store.put('a', bytes(body))))
        expect(bodies).toContain(await text('a'))
      })

      it('stores nothing when the body is too long, and leaves the old', async () => {
        await store.put('a', bytes('old'))
        const body = Readable.from([Buffer.alloc(600), Buffer.alloc(600)])
        await expect(store.put('a', body, { maxBytes: 1_000 })).rejects.toThrow(BlobTooLargeError)
        expect(body.destroyed).toBe(true)
        await expect(store.put('b', new Uint8Array(1_001), { maxBytes: 1_000 })).rejects.toThrow(
          BlobTooLargeError,
        )
        await store.put('c', new Uint8Array(1_000), { maxBytes: 1_000 })
        expect(await text('a')).toBe('old')
        expect(await keys()).toEqual(['a', 'c'])
      })

      it('stores nothing when the body fails, and passes its error on', async () => {
        const failure = new Error('the upload broke off')
        const body = Readable.from(
          (async function* () {
            yield Buffer.from('half')
            throw failure
          })(),
        )
        await expect(store.put('a', body)).rejects.toBe(failure)
        expect(await keys()).toEqual([])
      })

      it('stores nothing when aborted', async () => {
        const abort = new AbortController()
        const body = new Readable({ read() {} })
        body.push('half')
        const put = store.put('a', body, { signal: abort.signal })
        const reason = new Error('the client went away')
        setImmediate(() => abort.abort(reason))
        await expect(put).rejects.toBe(reason)
        await expect(store.put('a', bytes('x'), { signal: abort.signal })).rejects.toBe(reason)
        expect(body.destroyed).toBe(true)
        expect(await keys()).toEqual([])
      })
    })

    describe('open', () => {
      it.each<[{ start: number; end?: number }, string]>([
        [{ start: 0, end: 0 }, '0'],
        [{ start: 2, end: 4 }, '234'],
        [{ start: 7 }, '789'],
        [{ start: 7, end: 1_000 }, '789'],
      ])('gives the range %j', async (range, expected) => {
        await store.put('digits', bytes('0123456789'))
        expect(await streamed('digits', range)).toEqual({
          bytes: expected.length,
          totalBytes: 10,
          text: expected,
        })
      })

      it.each([{ start: 10 }, { start: -1 }, { start: 3, end: 2 }, { start: 0.5 }, { start: Number.NaN }])(
        'refuses the range %j',
        async (range) => {
          await store.put('digits', bytes('0123456789'))
          await expect(store.open('digits', range)).rejects.toThrow(BlobRangeError)
        },
      )

      it('has nothing to give of an empty blob', async () => {
        await store.put('empty', new Uint8Array())
        await expect(store.open('empty', { start: 0 })).rejects.toThrow(BlobRangeError)
      })
    })

    describe('read', () => {
      it('gives memory of its own', async () => {
        await store.put('numbers', new Uint8Array(new Float32Array([1, 2, 3]).buffer))
        const read = await store.read('numbers', 1_000)
        expect([...new Float32Array(read.buffer)]).toEqual([1, 2, 3])
      })

      it('refuses more than it was allowed', async () => {
        await store.put('a', new Uint8Array(11))
        await expect(store.read('a', 10)).rejects.toThrow(BlobTooLargeError)
        expect(await store.read('a', 11)).toHaveLength(11)
      })
    })

    it('says what is missing', async () => {
      await store.put('a/b', bytes('x'))
      for (const key of ['none', 'a', 'a/b/c', 'a/none']) {
        await expect(store.open(key)).rejects.toThrow(BlobNotFoundError)
        await expect(store.read(key, 10)).rejects.toThrow(BlobNotFoundError)
        expect(await store.head(key)).toBeUndefined()
        expect(await store.delete(key)).toBe(false)
      }
      expect(await store.head('a/b')).toEqual({ bytes: 1 })
    })

    describe('delete', () => {
      it('removes one, and tells whether it was there', async () => {
        await store.put('a/b', bytes('x'))
        await store.put('a/c', bytes('x'))
        expect(await store.delete('a/b')).toBe(true)
        expect(await store.delete('a/b')).toBe(false)
        expect(await keys()).toEqual(['a/c'])
      })

      it('lets a reader at the same moment have it whole, or find nothing', async () => {
        const read = (key: string) =>
          store.read(key, 10).then(
            (bytes) => Buffer.from(bytes).toString(),
            (error: unknown) => (error instanceof BlobNotFoundError ? 'nothing' : error),
          )
        const seen: unknown[] = []
        for (let n = 0; n < 60; n++) {
          await store.put(`race/${n}`, Buffer.from('whole'))
          const reads = Array.from({ length: 4 }, () => read(`race/${n}`))
          await store.delete(`race/${n}`)
          seen.push(...(await Promise.all(reads)))
        }
        expect(seen.filter((what) => what !== 'whole' && what !== 'nothing')).toEqual([])
      })

      it('frees a folder for a file of its name', async () => {
        await store.put('a/b/c', bytes('x'))
        await store.delete('a/b/c')
        await store.put('a', bytes('now a file'))
        expect(await text('a')).toBe('now a file')
      })

      it('removes what is under a prefix, and nothing beside it', async () => {
        for (const key of ['a/1', 'a/b/2', 'a/b/c/3', 'ab', 'b/a/4']) await store.put(key, bytes('x'))
        expect(await store.deletePrefix('a/')).toBe(3)
        expect(await keys()).toEqual(['ab', 'b/a/4'])
        expect(await store.deletePrefix('a/')).toBe(0)
        expect(await store.deletePrefix('ab/')).toBe(0)
      })

      it.each(['', '/', 'a', '../', 'a//', '/a/'])('refuses the prefix %j', async (prefix) => {
        await store.put('a/1', bytes('x'))
        await expect(store.deletePrefix(prefix)).rejects.toThrow(BlobKeyError)
        expect(await keys()).toEqual(['a/1'])
      })
    })

    it('lists in the order of the bytes', async () => {
      const expected = ['a', 'a!', 'a-/1', 'a.', 'b/1', 'b/10', 'b/2', 'b0', 'é', '\u{ff5e}', '\u{1f989}/x']
      for (const key of [...expected].reverse()) await store.put(key, bytes('x'))
      expect(await keys()).toEqual(expected)
      expect(await keys('b/')).toEqual(['b/1', 'b/10', 'b/2'])
      expect(await keys('none/')).toEqual([])
    })

    it('keeps files while others of the folder come and go', async () => {
      const work = Array.from({ length: 20 }, async (_, n) => {
        for (let i = 0; i < 10; i++) {
          await store.put(`shared/folder/${n}`, bytes(`${i}`))
          if (i < 9) await store.delete(`shared/folder/${n}`)
        }
      })
      await Promise.all(work)
      expect(await keys()).toHaveLength(20)
    })

    describe('keys', () => {
      it.each([
        'plain',
        'with space',
        'Zoë/ümläut.pdf',
        '🦉/x',
        'a'.repeat(255),
        '.hidden',
        '-',
        'a..b',
        '%2e%2e',
      ])('%j is one', async (key) => {
        await store.put(key, bytes('x'))
        expect(await keys()).toEqual([key])
        expect(await text(key)).toBe('x')
      })

      it.each([
        '',
        '/',
        '/etc/passwd',
        '..',
        '../x',
        'a/../x',
        'a/..',
        '.',
        './x',
        'a/./x',
        'a//x',
        'a/',
        'a\\b',
        '..\\x',
        'nul\0',
        'line\nbreak',
        'half \ud800',
        'a'.repeat(256),
        `${'a/'.repeat(450)}b`,
      ])('%j is none', async (key) => {
        await expect(store.put(key, bytes('x'))).rejects.toThrow(BlobKeyError)
        await expect(store.open(key)).rejects.toThrow(BlobKeyError)
        await expect(store.head(key)).rejects.toThrow(BlobKeyError)
        await expect(store.read(key, 1)).rejects.toThrow(BlobKeyError)
        await expect(store.delete(key)).rejects.toThrow(BlobKeyError)
      })
    })
  })
}

/** A source, and how its owner puts a blob there. */
export interface SourceUnderTest {
  source: BlobSource
  fill(key: string, data: Uint8Array): Promise<unknown>
}

/** What a source promises, whoever fills it. `open` gives an empty one. */
export function sourceContract(name: string, open: () => Promise<SourceUnderTest>): void {
  describe(name, () => {
    let source: BlobSource
    beforeEach(async () => {
      const opened = await open()
      source = opened.source
      await opened.fill('sub/digits.txt', bytes('0123456789'))
      await opened.fill('Zoë/ümläut.pdf', new Uint8Array())
    })
    const text = async (key: string, range?: { start: number; end?: number }) => {
      const { stream, ...sizes } = await source.open(key, range)
      return { ...sizes, text: Buffer.concat(await stream.toArray()).toString() }
    }

    it('tells the size', async () => {
      expect(await source.head('sub/digits.txt')).toEqual({ bytes: 10 })
      expect(await source.head('Zoë/ümläut.pdf')).toEqual({ bytes: 0 })
    })

    it('gives the whole, or a range', async () => {
      expect(await text('sub/digits.txt')).toEqual({ bytes: 10, totalBytes: 10, text: '0123456789' })
      expect(await text('sub/digits.txt', { start: 2, end: 4 })).toEqual({
        bytes: 3,
        totalBytes: 10,
        text: '234',
      })
      expect(await text('Zoë/ümläut.pdf')).toEqual({ bytes: 0, totalBytes: 0, text: '' })
      await expect(source.open('sub/digits.txt', { start: 10 })).rejects.toThrow(BlobRangeError)
    })

    it('says what is missing', async () => {
      for (const key of ['none', 'sub', 'sub/none', 'sub/digits.txt/x']) {
        expect(await source.head(key)).toBeUndefined()
        await expect(source.open(key)).rejects.toThrow(BlobNotFoundError)
        await expect(source.open(key, { start: 0.5 })).rejects.toThrow(BlobNotFoundError)
      }
    })

    it.each(['', '../secret', '/etc/passwd', 'sub/../../secret', 'sub/', 'a\\b', 'line\nbreak'])(
      'refuses the key %j',
      async (key) => {
        await expect(source.head(key)).rejects.toThrow(BlobKeyError)
        await expect(source.open(key)).rejects.toThrow(BlobKeyError)
      },
    )
  })
}
