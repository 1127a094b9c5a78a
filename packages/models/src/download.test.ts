import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { download } from './download.ts'

const content = randomBytes(300_000)
const sha256 = hash('sha256', content)

describe('download', () => {
  let dir: string
  let asked: (string | undefined)[]
  let answer: (request: IncomingMessage, response: ServerResponse) => void
  let url: string
  /** Called with the bytes that the client has written. */
  let progressed: (received: number) => void
  const server = createServer((request, response) => {
    asked.push(request.headers.range)
    answer(request, response)
  })

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'mnemosyne-download-'))
    asked = []
    progressed = () => {}
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`
  })
  afterEach(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
    rmSync(dir, { recursive: true })
  })

  function get(more: Partial<Parameters<typeof download>[0]> = {}) {
    const base = {
      url,
      to: join(dir, 'whole'),
      partsAt: join(dir, 'file'),
      bytes: content.length,
      sha256,
      fetch,
      onProgress: (received: number) => progressed(received),
    }
    return download({ ...base, ...more })
  }

  /** Serves ranges, and breaks the connection off after `most` bytes. */
  function serve(most = Number.POSITIVE_INFINITY, ranges = true) {
    answer = (request, response) => {
      const from = ranges ? Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0
      const rest = content.subarray(from)
      const range = { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length, ...(from > 0 && range) })
      if (rest.length <= most) response.end(rest)
      else sendAndBreakOff(response, rest.subarray(0, most), from + most)
    }
  }

  function sendAndBreakOff(response: ServerResponse, part: Buffer, at: number) {
    response.write(part)
    progressed = (received) => void (received >= at && response.destroy())
  }

  it('brings a file and tells its progress', async () => {
    serve()
    const progress: number[] = []
    progressed = (received) => void progress.push(received)
    await get()
    expect(readFileSync(join(dir, 'whole')).equals(content)).toBe(true)
    expect(progress.at(-1)).toBe(content.length)
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
    expect(readdirSync(dir)).toEqual(['whole'])
  })

  it('goes on where a connection broke off', async () => {
    serve(120_000)
    await get()
    expect(readFileSync(join(dir, 'whole')).equals(content)).toBe(true)
    expect(asked).toEqual([undefined, 'bytes=120000-', 'bytes=240000-'])
  })

  it('starts again where the server knows no ranges', async () => {
    writeFileSync(join(dir, 'file.part'), content.subarray(0, 100_000))
    serve(undefined, false)
    await get()
    expect(readFileSync(join(dir, 'whole')).equals(content)).toBe(true)
  })

  it('goes on with what an earlier call left when the server went away', async () => {
    answer = (_, response) => {
      if (asked.length > 1) return void response.destroy()
      response.writeHead(200, { 'content-length': content.length })
      sendAndBreakOff(response, content.subarray(0, 100_000), 100_000)
    }
    await expect(get()).rejects.toMatchObject({ code: 'download_failed' })
    const left = readdirSync(dir)
    expect(left).toEqual(['file.part'])
    expect(readFileSync(join(dir, 'file.part'))).toHaveLength(100_000)
    asked = []
    serve()
    await get()
    expect(asked).toEqual(['bytes=100000-'])
    expect(readFileSync(join(dir, 'whole')).equals(content)).toBe(true)
    expect(readdirSync(dir)).toEqual(['whole'])
  })

  it('keeps what it got when aborted', async () => {
    const controller = new AbortController()
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 100_000))
    }
    progressed = (received) => void (received === 100_000 && controller.abort(new Error('stop')))
    await expect(get({ signal: controller.signal })).rejects.toThrow('stop')
    expect(readFileSync(join(dir, 'file.part'))).toHaveLength(100_000)
  })

  const wrong: [string, Buffer][] = [
    ['other content of the same size', Buffer.alloc(content.length, 7)],
    ['more than the file holds', Buffer.concat([content, content])],
  ]
  it.each(wrong)('refuses and throws away %s', async (_, body) => {
    answer = (_, response) => void response.end(body)
    await expect(get()).rejects.toMatchObject({ code: 'wrong_content' })
    expect(readdirSync(dir)).toEqual([])
  })

  it('refuses a left-over that is not the beginning of the file, and gets it right the next time', async () => {
    writeFileSync(join(dir, 'file.part'), Buffer.alloc(1_000, 7))
    serve()
    await expect(get()).rejects.toMatchObject({ code: 'wrong_content' })
    await get()
    expect(readFileSync(join(dir, 'whole')).equals(content)).toBe(true)
  })

  const silent: [string, (response: ServerResponse) => void, RegExp][] = [
    ['never answers', () => {}, /did not answer within/],
    ['stops sending', (response) => void response.writeHead(200).flushHeaders(), /sent nothing within/],
    ['refuses', (response) => void response.writeHead(403).end('no'), /answered 403/],
    ['hangs up', (response) => void response.destroy(), /could not be read/],
  ]
  it.each(silent)('gives up soon on a server that %s', async (_, behaviour, message) => {
    answer = (_, response) => behaviour(response)
    const started = performance.now()
    await expect(get({ answerTimeout: 300, stallTimeout: 300 })).rejects.toThrow(message)
    expect(performance.now() - started).toBeLessThan(3_000)
    expect(readdirSync(dir)).toEqual([])
  })

  it('lets two go at the same file at once', async () => {
    writeFileSync(join(dir, 'file.part'), content.subarray(0, 100_000))
    serve()
    await Promise.all([get({ to: join(dir, 'one') }), get({ to: join(dir, 'two') })])
    for (const name of ['one', 'two']) expect(readFileSync(join(dir, name)).equals(content)).toBe(true)
  })
})
