import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { SearchAnswer } from '@mnemosyne/contracts'
import { type Bench, say } from './bench.ts'
import { median, type Report, seconds } from './report.ts'
import { startSystem } from './system.ts'

const ROOT = new URL('..', import.meta.url)

/** From the command to the address, and to the first search that is answered. */
export async function measureStart(bench: Bench): Promise<Report> {
  const filled = await bench.filled(bench.sizes.store)
  const cold: Start[] = []
  const warm: Start[] = []
  const npm: number[] = []
  for (let n = 0; n < bench.sizes.starts; n++) {
    say(`start ${n + 1} of ${bench.sizes.starts}`)
    cold.push(await startOf(bench.newFolder(), 'anything'))
    warm.push(await startOf(filled.dataDir, filled.question(8), filled.token))
    npm.push(await npmStart(filled.dataDir))
  }
  const row = (label: string, starts: Start[]) => [
    label,
    seconds(median(starts.map(({ up }) => up))),
    seconds(median(starts.map(({ searched }) => searched))),
  ]
  return {
    title: 'Start',
    about: `Median of ${bench.sizes.starts}. The model is in the cache; cold is a data folder that does not exist yet, without the samples; warm is one with ${filled.chunks.toLocaleString('en')} chunks.`,
    columns: ['', 'address printed', 'first search answered'],
    rows: [
      row('cold', cold),
      row('warm', warm),
      ['`npm start`, warm (aim: under 5 s)', `**${seconds(median(npm))}**`, ''],
    ],
    figures: {
      cold_ms: median(cold.map(({ searched }) => searched)),
      warm_ms: median(warm.map(({ searched }) => searched)),
      npm_start_ms: median(npm),
    },
  }
}

/** Milliseconds since the process was started. */
interface Start {
  up: number
  searched: number
}

async function startOf(dataDir: string, query: string, token?: string): Promise<Start> {
  const started = performance.now()
  await using system = await startSystem(dataDir, token)
  const up = performance.now() - started
  const { status, text, body } = await system.call('POST', '/library/api/search/', { query })
  const searched = performance.now() - started
  const { candidates, degraded } = body as SearchAnswer
  if (status !== 200 || degraded.length > 0) throw new Error(`The first search went wrong: ${status} ${text}`)
  if (token && candidates.length === 0) throw new Error('The first search found nothing.')
  return { up, searched }
}

/** Milliseconds until a person who types `npm start` reads the address. */
async function npmStart(dataDir: string): Promise<number> {
  const started = performance.now()
  // A group of its own, so that the whole of it can be stopped as Ctrl-C would.
  const npm = spawn('npm', ['start', '--silent', '--', '--json', '--port', '0', '--data-dir', dataDir], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(npm, 'exit')
  await Promise.race([
    once(npm.stdout, 'data'),
    ended.then(([code]) => Promise.reject(new Error(`npm start ended with ${code}`))),
  ])
  const took = performance.now() - started
  process.kill(-npm.pid!, 'SIGINT')
  await ended
  return took
}
