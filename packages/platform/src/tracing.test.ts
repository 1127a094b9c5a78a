import { createServer, type Server } from 'node:net'
import { Writable } from 'node:stream'
import { trace } from '@opentelemetry/api'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createLog } from './log.ts'
import { startTracing } from './tracing.ts'

const address = (server: Server) => `http://127.0.0.1:${(server.address() as { port: number }).port}`

async function listening(): Promise<Server> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return server
}

async function nowhere(): Promise<string> {
  const server = await listening()
  const url = address(server)
  await new Promise((resolve) => server.close(resolve))
  return url
}

describe('a collector', () => {
  test.each([
    ['is not there', nowhere],
    ['takes connections and answers nothing', async () => address(await listening())],
  ])('that %s holds up no end, and is told of', async (_, endpointOf) => {
    const lines: string[] = []
    const destination = new Writable({ write: (chunk, _, done) => done(void lines.push(String(chunk))) })
    const log = createLog({ component: 'test', level: 'info', destination })
    const stop = startTracing({ endpoint: await endpointOf(), serviceName: 'test', version: '0', log })
    const tracer = trace.getTracer('test')
    for (let sent = 0; sent < 2_000; sent++) tracer.startSpan('work').end()
    const started = performance.now()
    await stop()
    expect(performance.now() - started).toBeLessThan(3_000)
    await expect.poll(() => lines.join(), { timeout: 5_000 }).toContain('spans cannot be sent')
  })
})
