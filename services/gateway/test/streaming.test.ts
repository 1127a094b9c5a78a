import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { FetchHandler } from '@mnemosyne/contracts'
import { httpUpstream, type Listener, listen } from '@mnemosyne/platform'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openWorld } from './harness.ts'

const open: Listener[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close(0)))
})

async function serve(fetch: FetchHandler): Promise<string> {
  const listener = await listen(fetch, { host: '127.0.0.1', port: 0 })
  open.push(listener)
  return listener.url
}

const ways: [string, (service: FetchHandler) => Promise<FetchHandler>][] = [
  ['in one process', async (service) => service],
  ['over a socket', async (service) => httpUpstream(await serve(service))],
]

describe.each(ways)('%s', (_, way) => {
  async function door(service: FetchHandler): Promise<string> {
    const upstream = await way(service)
    const { gateway } = await openWorld({ upstreams: { ingest: upstream, mcp: upstream } })
    return serve(gateway.fetch)
  }
  const headers = { authorization: 'Bearer alice' }

  test('an answer arrives part by part, while the service still writes', async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    const url = await door(
      async () => new Response(readable, { headers: { 'content-type': 'text/event-stream' } }),
    )
    const answer = await fetch(`${url}/mcp/`, { headers })
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
    for (const part of ['data: 1\n\n', 'data: 2\n\n']) {
      await writer.write(Buffer.from(part))
      expect(await reader.read()).toEqual({ done: false, value: part })
    }
    await writer.close()
    expect(await reader.read()).toEqual({ done: true, value: undefined })
  })

  test('a body arrives part by part, while the client still sends', async () => {
    const arrived: string[] = []
    const url = await door(async (request) => {
      for await (const part of request.body!.pipeThrough(new TextDecoderStream())) arrived.push(part)
      return new Response('taken', { status: 202 })
    })
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    const answer = fetch(`${url}/library/api/items/upload/`, {
      method: 'POST',
      headers,
      body: readable,
      ...{ duplex: 'half' },
    })
    for (const part of ['first', 'second']) {
      await writer.write(Buffer.from(part))
      await expect.poll(() => arrived.at(-1)).toBe(part)
    }
    await writer.close()
    expect([(await answer).status, await (await answer).text()]).toEqual([202, 'taken'])
  })

  test('a client that leaves while it waits ends the call', async () => {
    const ended = vi.fn()
    const began = vi.fn()
    const url = await door((request) => {
      began()
      return new Promise((_, reject) => {
        request.signal.addEventListener('abort', () => {
          ended()
          reject(request.signal.reason)
        })
      })
    })
    const leaving = new AbortController()
    const answer = fetch(`${url}/mcp/`, { headers, signal: leaving.signal })
    await expect.poll(() => began.mock.calls.length).toBe(1)
    leaving.abort()
    await expect(answer).rejects.toThrow()
    await expect.poll(() => ended.mock.calls.length).toBe(1)
  })

  test('a client that leaves in the middle of an answer ends the stream', async () => {
    const cancelled = vi.fn()
    const url = await door(
      async () =>
        new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(Buffer.from('data: 1\n\n')),
            cancel: cancelled,
          }),
        ),
    )
    const leaving = new AbortController()
    const answer = await fetch(`${url}/mcp/`, { headers, signal: leaving.signal })
    await answer.body!.getReader().read()
    leaving.abort()
    await expect.poll(() => cancelled.mock.calls.length).toBe(1)
  })

  test('a client that leaves in the middle of its body breaks it off', async () => {
    const arrived = vi.fn()
    const broke = vi.fn()
    const url = await door(async (request) => {
      try {
        for await (const _part of request.body!) arrived()
      } catch {
        broke()
      }
      return new Response('taken')
    })
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(
      `POST /library/api/items/upload/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer alice\r\nContent-Length: 1000\r\n\r\nabc`,
    )
    await expect.poll(() => arrived.mock.calls.length).toBe(1)
    socket.destroy()
    await expect.poll(() => broke.mock.calls.length).toBe(1)
  })

  test('a slow reader holds a fast service up, so that nothing piles up', async () => {
    let made = 0
    const part = new Uint8Array(65_536)
    const url = await door(
      async () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              made += part.byteLength
              if (made > 512 * 1_048_576) controller.close()
              else controller.enqueue(part)
            },
          }),
        ),
    )
    const answer = await fetch(`${url}/mcp/`, { headers })
    const reader = answer.body!.getReader()
    await reader.read()
    let before = -1
    while (before !== made) {
      before = made
      for (let turns = 0; turns < 1_000; turns++) await turn()
    }
    expect(made).toBeLessThan(64 * 1_048_576)
    await reader.cancel()
  })

  test('a service that refuses an upload early is heard', async () => {
    const url = await door(async () => Response.json({ detail: 'No such library.' }, { status: 404 }))
    const answer = await fetch(`${url}/library/api/items/upload/`, {
      method: 'POST',
      headers,
      body: new Uint8Array(3_000_000),
    })
    expect([answer.status, await answer.json()]).toEqual([404, { detail: 'No such library.' }])
  })

  test('answers without a body, and several headers of one name, pass', async () => {
    const url = await door(async (request) =>
      request.method === 'DELETE'
        ? new Response(null, { status: 204 })
        : new Response('ok', {
            headers: [
              ['set-cookie', 'a=1'],
              ['set-cookie', 'b=2'],
              ['keep-alive', 'x'],
            ],
          }),
    )
    expect((await fetch(`${url}/library/api/jobs/1/`, { method: 'DELETE', headers })).status).toBe(204)
    const head = await fetch(`${url}/library/api/jobs/1/`, { method: 'HEAD', headers })
    expect([head.status, await head.text()]).toEqual([200, ''])
    const answer = await fetch(`${url}/library/api/jobs/1/`, { headers })
    expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect(answer.headers.get('keep-alive')).not.toBe('x')
  })
})

test('a service that does not listen is 502, and one that hangs up as well', async () => {
  const gone = await serve(async () => new Response('x'))
  await open.pop()!.close(0)
  const { as } = await openWorld({ upstreams: { library: httpUpstream(gone) } })
  const answer = await as('alice', '/library/api/items/')
  expect([answer.status, await answer.json()]).toEqual([
    502,
    { detail: 'The library service cannot be reached right now. Try again shortly.' },
  ])
})

test('a path can’t lead a socket elsewhere', async () => {
  const paths: string[] = []
  const url = await serve(async (request) => {
    paths.push(new URL(request.url).pathname)
    return new Response('ok')
  })
  await httpUpstream(`${url}/base/`)(new Request('http://any//evil.test/x?y=1'))
  expect(paths).toEqual(['/base//evil.test/x'])
})
