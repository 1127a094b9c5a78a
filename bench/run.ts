/**
 * Measures the whole product and prints what it found in Markdown (kept in `docs/benchmarks.md`):
 *
 *   npm run bench -- [--quick] [--only NAME]… [--json FILE]
 *
 * NAME is ingest, search, small-library, start or memory. `--quick` takes small sizes: a check that all of it runs.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, release, tmpdir, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Bench, FULL, QUICK, say } from './bench.ts'
import { measureIngest } from './ingest.ts'
import { measureMemory } from './memory.ts'
import { markdown, type Report } from './report.ts'
import { measureSearch } from './search.ts'
import { measureSmallLibrary } from './small-library.ts'
import { measureStart } from './start.ts'

const MEASUREMENTS: Record<string, (bench: Bench) => Promise<Report>> = {
  ingest: measureIngest,
  search: measureSearch,
  'small-library': measureSmallLibrary,
  start: measureStart,
  memory: measureMemory,
}

function machine(): string {
  const processors = cpus()
  const load = loadavg()[0]!.toFixed(1)
  return `${processors.length} × ${processors[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}, Node ${process.version}; load before the run ${load}`
}

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    json: { type: 'string' },
  },
})
const names = options.only ?? Object.keys(MEASUREMENTS)
const unknown = names.filter((name) => !(name in MEASUREMENTS))
if (unknown.length > 0) {
  say(`There is no measurement ${unknown.join(', ')}: take ${Object.keys(MEASUREMENTS).join(', ')}.`)
  process.exit(2)
}

const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-bench-'))
try {
  await using bench = new Bench(options.quick ? QUICK : FULL, folder)
  const reports: Record<string, Report> = {}
  const on = machine()
  process.stdout.write(`${on}.\n\n`)
  for (const name of names) {
    const report = await MEASUREMENTS[name]!(bench)
    reports[name] = report
    process.stdout.write(`${markdown(report)}\n`)
  }
  if (options.json) await writeFile(options.json, `${JSON.stringify({ machine: on, reports }, null, 2)}\n`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
