/**
 * What the way to an endpoint costs: passages a second and a query's latency against a server with hashed vectors in a
 * process of its own.
 * Usage: node packages/models/bench/endpoint.ts [DIMENSIONS]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createLog, Metrics } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { openEndpointEmbedder } from '../src/index.ts'
import type { Embedder } from '../src/port.ts'

const dimensions = process.argv[2] ?? '384'
const TEXTS = Array.from(
  { length: 8_000 },
  (_, n) => `passage ${n} ${'tide harbour ledger engine copper valley '.repeat(20)}`,
)
/** As two workers have with two batches each. */
const CALLS_AT_ONCE = 4

async function passagesASecond(embedder: Embedder, size: number): Promise<number> {
  const started = performance.now()
  let next = 0
  async function caller(): Promise<void> {
    while (next < TEXTS.length) {
      const at = next
      next += size
      await embedder.embedPassages(TEXTS.slice(at, at + size))
    }
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, caller))
  return Math.round(TEXTS.length / ((performance.now() - started) / 1000))
}

async function queryLatency(embedder: Embedder, count: number): Promise<string> {
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const started = performance.now()
    await embedder.embedQuery(`which lantern stood in harbour ${n}?`, { cache: false })
    times.push(performance.now() - started)
  }
  times.sort((a, b) => a - b)
  return `p50 ${times[count >> 1]!.toFixed(2)} ms, p95 ${times[Math.floor(count * 0.95)]!.toFixed(2)} ms`
}

const program = fileURLToPath(new URL('../src/testing/embedding-server-main.ts', import.meta.url))
const server = spawn(process.execPath, [program, '--dimensions', dimensions], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const [line] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string]
try {
  await using embedder = await openEndpointEmbedder({
    baseUrl: line.trim(),
    model: 'hashed',
    log: createLog({ component: 'bench', level: 'silent' }),
    metrics: new Metrics(new Registry(), 'bench'),
  })
  await embedder.embedPassages(TEXTS.slice(0, 500))
  for (const size of [8, 32, 500]) {
    console.log(`calls of ${size}: ${await passagesASecond(embedder, size)} passages/s`)
  }
  console.log(`query: ${await queryLatency(embedder, 500)}`)
} finally {
  server.kill()
}
