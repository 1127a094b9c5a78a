import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FetchHandler } from '@mnemosyne/contracts'
import { Registry } from 'prom-client'
import { afterEach, describe, expect, test } from 'vitest'
import { observeCalls } from './http-telemetry.ts'
import { httpUpstream, NOT_SERVING_HEADER } from './http-upstream.ts'
import { type Listener, listen } from './listen.ts'
import { Metrics } from './telemetry.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

interface Replica {
  url: string
  /** Bodies that it has taken. */
  taken: string[]
  listener: Listener
}

async function replica(
  answer: FetchHandler = async () => new Response('done'),
  admits?: () => boolean,
): Promise<Replica> {
  const taken: string[] = []
  const listener = await listen(
    async (request) => {
      const response = await answer(request.clone())
      if (!response.headers.has(NOT_SERVING_HEADER)) taken.push(await request.text())
      return response
    },
    { host: '127.0.0.1', port: 0 },
    admits,
  )
  cleanups.push(() => listener.close(0))
  return { url: listener.url, taken, listener }
}

const notServing = async () =>
  Response.json({ detail: 'starting' }, { status: 503, headers: { [NOT_SERVING_HEADER]: 'starting' } })

/** An address where nothing listens. */
async function nowhere(): Promise<string> {
  const { url, listener } = await replica()
  await listener.close(0)
  return url
}

/** Takes a request, and breaks the connection off without an answer, the first `times`. */
async function breaksOff(times: number): Promise<{ url: string; seen: () => number }> {
  let seen = 0
  const server: Server = createServer((incoming, outgoing) => {
    seen += 1
    if (seen <= times) incoming.socket.destroy()
    else outgoing.end('done')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(
    () => server.closeAllConnections(),
    () => server.close(),
  )
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen: () => seen }
}

const get = () => new Request('http://any/path')
const post = (body: string) =>
  new Request('http://any/path', { method: 'POST', body, headers: { 'content-type': 'application/json' } })
const stream = (pieces: string[]) =>
  new Request('http://any/path', {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(Buffer.from(piece))
        controller.close()
      },
    }),
    duplex: 'half',
  } as RequestInit)

describe('replicas', () => {
  test('take turns', async () => {
    const [one, two] = [await replica(), await replica()]
    const upstream = httpUpstream(`${one.url}, ${two.url}`)
    for (let n = 0; n < 10; n++) await upstream(post(`"${n}"`))
    expect([one.taken.length, two.taken.length]).toEqual([5, 5])
  })

  test.each([
    ['nothing listens', nowhere],
    ['one is starting', async () => (await replica(notServing, () => false)).url],
  ])('are passed over where %s, for reads, writes and streams', async (_, other) => {
    const good = await replica()
    const upstream = httpUpstream(`${await other()},${good.url}`)
    for (const request of [get(), post('"a"'), stream(['b', 'c']), get(), stream(['d'])]) {
      expect((await upstream(request)).status).toBe(200)
    }
    expect(good.taken).toEqual(['', '"a"', 'bc', '', 'd'])
  })

  test('are waited for when none is there, within the patience', async () => {
    let serving = false
    const only = await replica(
      async () => (serving ? new Response('done') : notServing()),
      () => serving,
    )
    const upstream = httpUpstream(only.url)
    const answer = upstream(post('"a"'))
    setTimeout(() => {
      serving = true
    }, 200)
    expect((await answer).status).toBe(200)
    expect(only.taken).toEqual(['"a"'])
    await expect(httpUpstream(await nowhere(), { patienceMs: 100 })(get())).rejects.toThrow(
      'cannot be connected to',
    )
  })

  test('end one after another without a request failing', async () => {
    const [one, two] = [await replica(), await replica()]
    const upstream = httpUpstream(`${one.url},${two.url}`)
    let going = true
    let failed = 0
    let answered = 0
    const callers = Array.from({ length: 8 }, async () => {
      while (going) {
        // Bodies that must not be sent twice: nothing but an orderly end keeps them from failing.
        const { status } = await upstream(stream(['x'])).catch(() => ({ status: 0 }))
        if (status === 200) answered += 1
        else failed += 1
      }
    })
    await expect.poll(() => answered, { timeout: 20_000 }).toBeGreaterThan(50)
    await one.listener.close(4_000, 200)
    const before = answered
    await expect.poll(() => answered, { timeout: 20_000 }).toBeGreaterThan(before + 50)
    going = false
    await Promise.all(callers)
    expect(failed).toBe(0)
    expect(one.taken.length + two.taken.length).toBe(answered)
  })
})

describe('a connection that breaks off without an answer', () => {
  test.each([
    ['GET', get],
    ['DELETE', () => new Request('http://any/path', { method: 'DELETE' })],
  ])('is tried again for %s', async (_, request) => {
    const server = await breaksOff(2)
    expect((await httpUpstream(server.url)(request())).status).toBe(200)
    expect(server.seen()).toBe(3)
  })

  test('is an error for POST, unless its caller knows that it may be repeated', async () => {
    const server = await breaksOff(1)
    await expect(httpUpstream(server.url)(post('1'))).rejects.toThrow('broke the connection off')
    const other = await breaksOff(1)
    const upstream = httpUpstream(other.url, { isRepeatable: () => true })
    expect((await upstream(post('1'))).status).toBe(200)
    const third = await breaksOff(1)
    await expect(httpUpstream(third.url, { isRepeatable: () => true })(stream(['1']))).rejects.toThrow()
  })

  test('is not tried again for a caller who has left', async () => {
    const controller = new AbortController()
    const upstream = httpUpstream(await nowhere(), { patienceMs: 60_000 })
    const answer = upstream(new Request(get(), { signal: controller.signal }))
    controller.abort(new Error('left'))
    await expect(answer).rejects.toThrow()
  })
})

test('every sending is counted and timed, with why it was sent again', async () => {
  const registry = new Registry()
  const calls = observeCalls('search', new Metrics(registry, 'mcp'))
  const ask = async (urls: string) => (await httpUpstream(urls, { calls })(get())).text()
  await ask((await breaksOff(1)).url)
  await ask(`${await nowhere()},${(await replica()).url}`)
  const metrics = await registry.metrics()
  for (const line of [
    'mnemosyne_http_client_resends_total{component="mcp",target="search",reason="broken_off"} 1',
    'mnemosyne_http_client_resends_total{component="mcp",target="search",reason="not_taken"} 1',
    'mnemosyne_http_client_duration_seconds_count{component="mcp",target="search",status="200"} 2',
    'mnemosyne_http_client_duration_seconds_count{component="mcp",target="search",status="error"} 2',
  ])
    expect(metrics).toContain(line)
})
