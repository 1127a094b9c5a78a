import { setTimeout as sleep } from 'node:timers/promises'
import { type Bench, say } from './bench.ts'
import { Corpus } from './corpus.ts'
import { MemoryWatch, treeBytes } from './processes.ts'
import { type Report, seconds } from './report.ts'
import { ingest, startSystem } from './system.ts'

/** What the start allocated and dropped is given back by then. */
const SETTLE_MS = 5_000

/** Memory of the whole process tree, idle and while a long PDF goes in. */
export async function measureMemory(bench: Bench): Promise<Report> {
  const { pdfPages } = bench.sizes
  await using system = await startSystem(bench.newFolder())
  await system.createWorkspace('memory')
  const pid = system.process.pid!
  say(`ingesting a PDF of ${pdfPages} pages`)
  await sleep(SETTLE_MS)
  const idle = await treeBytes(pid)
  const file = new Corpus(2).pdf(pdfPages)
  using watch = new MemoryWatch(pid)
  const { jobs, took } = await ingest(system, 'memory', [file])
  await sleep(SETTLE_MS)
  const after = await treeBytes(pid)
  const megabytes = (bytes: number) => (bytes > 0 ? `${Math.round(bytes / 1e6)} MB` : 'not measured here')
  return {
    title: 'Memory',
    about: `All processes together (main, parsers, model), shared pages counted once, while a PDF of ${pdfPages} pages (${(file.content.length / 1e6).toFixed(1)} MB, ${jobs[0]!.chunks_created} passages) goes in.`,
    columns: ['', ''],
    rows: [
      ['idle, after the start', megabytes(idle)],
      ['peak while the PDF goes in', megabytes(watch.peak)],
      ['idle again', megabytes(after)],
      ['time of the job', seconds(took)],
    ],
    figures: { idle_bytes: idle, peak_bytes: watch.peak, after_bytes: after, pdf_ms: took },
  }
}
