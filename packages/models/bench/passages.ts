/**
 * Passages a second, and a query's latency idle and amid passages, by number of processes.
 * Usage: node packages/models/bench/passages.ts [CHARACTERS_PER_PASSAGE]
 */
import { readFileSync } from 'node:fs'
import { createLog, Metrics } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { findModel, modelCacheDir, openLocalEmbedder, openTokenizer } from '../src/index.ts'
import type { Embedder } from '../src/port.ts'

const WORDS = 'tide harbour ledger engine copper valley witness archive lantern orbit marble voltage'.split(
  ' ',
)
const characters = Number(process.argv[2] ?? 800)
const log = createLog({ component: 'bench', level: 'silent' })

/** The same pseudo-random text each run (a linear congruential generator). */
function passages(count: number): string[] {
  let state = 1
  function word(): string {
    state = (state * 48_271) % 0x7fffffff
    return WORDS[state % WORDS.length]!
  }
  const text = () => Array.from({ length: 1 + characters / 7 }, word).join(' ')
  return Array.from({ length: count }, text)
}

async function queryLatency(embedder: Embedder, count: number): Promise<string> {
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const started = performance.now()
    await embedder.embedQuery(`which lantern stood in harbour ${n}?`, { cache: false })
    times.push(performance.now() - started)
    await new Promise((resolve) => setTimeout(resolve, (n * 37) % 60))
  }
  times.sort((a, b) => a - b)
  return `p50 ${times[count >> 1]!.toFixed(1)} ms, p95 ${times[Math.floor(count * 0.95)]!.toFixed(1)} ms`
}

/** Proportional memory of the processes that run the model, in MB; Linux only. */
function childMemory(): string {
  const pids = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ')
  const kilobytes = pids.map((pid) =>
    Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1]),
  )
  return `${Math.round(kilobytes.reduce((sum, kb) => sum + kb, 0) / 1000)} MB`
}

const found = await findModel({ cacheDir: modelCacheDir(process.env as Record<string, string>), log })
if (found.kind === 'missing') throw new Error(`${found.reason} ${found.whatToDo}`)
const texts = passages(300)
const tokenizer = openTokenizer(found.dir)
const tokens = texts.reduce((sum, text) => sum + tokenizer.count(text), 0) / texts.length
console.log(`${found.name}, ${texts.length} passages of ${Math.round(tokens)} tokens`)
for (const processes of [1, 2, 3]) {
  const opening = performance.now()
  await using embedder = await openLocalEmbedder({
    modelDir: found.dir,
    processes,
    log,
    metrics: new Metrics(new Registry(), 'bench'),
  })
  const opened = performance.now() - opening
  const started = performance.now()
  await embedder.embedPassages(texts)
  const rate = texts.length / ((performance.now() - started) / 1000)
  const idle = await queryLatency(embedder, 60)
  const stop = new AbortController()
  const bulk = embedder.embedPassages([...texts, ...texts, ...texts], { signal: stop.signal }).catch(() => {})
  const busy = await queryLatency(embedder, 60)
  const memory = process.platform === 'linux' ? childMemory() : 'not measured'
  stop.abort()
  await bulk
  console.log(
    `${processes} processes: open ${opened.toFixed(0)} ms; ${rate.toFixed(1)} passages/s; ` +
      `query idle ${idle}; amid passages ${busy}; memory ${memory}`,
  )
}
