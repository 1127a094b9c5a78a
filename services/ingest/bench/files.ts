/**
 * Runs every file of a folder with a `manifest.tsv` (columns path, expected, phrase) through the processor and
 * prints what became of each, and totals by format. `node services/ingest/bench/files.ts FOLDER [formats] [model]`
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { argv } from 'node:process'
import { createLog, Metrics } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { renderDocument } from '../src/document/document.ts'
import { DocumentError } from '../src/document/errors.ts'
import { openProcessor } from '../src/processing/open-processor.ts'
import { DEFAULT_CHUNKING } from '../test/default-chunking.ts'

const [folder = '.', formats = 'pdf,html,md,txt', tokenizerDir] = argv.slice(2)
const wanted = new Set(formats.split(','))
const limits = {
  timeoutMs: 60_000,
  maxRssBytes: 1500 * 2 ** 20,
  maxOutputBytes: 64 * 2 ** 20,
  maxInputBytes: 256 * 2 ** 20,
  maxPages: 5000,
}
await using processor = openProcessor({
  size: 1,
  limits,
  tokenizerDir,
  inputDirs: [folder],
  log: createLog({ component: 'bench', level: 'warn' }),
  metrics: new Metrics(new Registry(), 'bench'),
})

interface Totals {
  ok: number
  phrases: number
  found: number
  missed: number
  rejects: number
  rejected: number
  any: number
  bounded: number
  seconds: number
  peakMb: number
}
const totals = new Map<string, Totals>()
const rows = readFileSync(join(folder, 'manifest.tsv'), 'utf8').split('\n').slice(1).filter(Boolean)
for (const row of rows) {
  const [path = '', expected = '', phrase = ''] = row.split('\t')
  const format = path.split('/')[0] ?? ''
  if (!wanted.has(format)) continue
  const total = totals.get(format) ?? {
    ok: 0,
    phrases: 0,
    found: 0,
    missed: 0,
    rejects: 0,
    rejected: 0,
    any: 0,
    bounded: 0,
    seconds: 0,
    peakMb: 0,
  }
  totals.set(format, total)
  const started = performance.now()
  const { text, outcome, isRefusal, inLimits } = await attempt(path)
  const seconds = (performance.now() - started) / 1000
  total.seconds += seconds
  total.peakMb = Math.max(total.peakMb, childPeakMb())
  let verdict = outcome
  if (expected === 'ok') {
    total.ok += 1
    if (phrase !== '') {
      total.phrases += 1
      const found = text !== undefined && normal(text).includes(normal(phrase))
      if (found) total.found += 1
      verdict = found ? 'found' : `MISSED ${phrase} (${outcome})`
    } else if (text === undefined) {
      total.missed += 1
      verdict = `FAILED ${outcome}`
    }
  } else if (expected === 'reject') {
    total.rejects += 1
    if (isRefusal) total.rejected += 1
    else verdict = `NOT REFUSED ${outcome}`
  } else {
    total.any += 1
    if (inLimits) total.bounded += 1
    else verdict = `OUT OF LIMITS ${outcome}`
  }
  console.log(
    `${path.slice(0, 64).padEnd(64)} ${expected.padEnd(7)} ${seconds.toFixed(2).padStart(6)} s  ${verdict}`,
  )
}
console.table(
  Object.fromEntries(
    [...totals].map(([format, t]) => [
      format,
      {
        'phrase found': `${t.found}/${t.phrases}`,
        'failed, no phrase': t.missed,
        refused: `${t.rejected}/${t.rejects}`,
        'in limits': `${t.bounded}/${t.any}`,
        seconds: t.seconds.toFixed(1),
        'peak RSS, MB': t.peakMb,
      },
    ]),
  ),
)

interface Attempt {
  text?: string
  outcome: string
  isRefusal: boolean
  inLimits: boolean
}

async function attempt(path: string): Promise<Attempt> {
  try {
    const { chunks, concepts, document, fileType } = await processor.process({
      path: join(folder, path),
      fileName: path,
      itemUid: path,
      chunking: DEFAULT_CHUNKING.technical,
      libraryType: 'technical',
    })
    const { text } = renderDocument(document)
    if (text.includes('root:x:0')) return { outcome: 'LEAK', isRefusal: false, inLimits: false }
    const outcome = `${fileType}, ${text.length} characters, ${chunks.length} chunks, ${concepts.length} concepts ${document.warnings.join(' ')}`
    return { text, outcome, isRefusal: false, inLimits: true }
  } catch (error) {
    if (!(error instanceof DocumentError))
      return { outcome: String(error), isRefusal: false, inLimits: false }
    const inLimits = !/^processing_/.test(error.code)
    return { outcome: `${error.code}: ${error.message}`, isRefusal: true, inLimits }
  }
}

/** Largest resident size so far of the child that is alive, where the system has /proc. */
function childPeakMb(): number {
  try {
    const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
    const peaks = children.map(
      (pid) => /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1],
    )
    return Math.round(Math.max(0, ...peaks.map(Number).filter(Number.isFinite)) / 1024)
  } catch {
    return 0
  }
}

function normal(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/[\s\p{Cf}]+/gu, '')
    .replace(/[‘’]/g, "'")
    .toLowerCase()
}
