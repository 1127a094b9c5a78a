/**
 * Measures the whole product and prints what it found in Markdown (kept in `docs/benchmarks.md`):
 *
 *   npm run bench -- [PART…] [--quick] [--sizes N,N…] [--neo4j 5.26|2026] [--json FILE]
 *
 * A part is a name of `MEASURES`, or one of `GROUPS` for several; without any, all of them. `--quick` takes small sizes:
 * a check that all of it runs. `--sizes` are the chunks of the stores, ascending.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, release, tmpdir, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Bench, FULL, QUICK, type Sizes, say } from './bench.ts'
import { measureHops } from './hops.ts'
import { measureIdentity } from './identity.ts'
import { measureIngest } from './ingest.ts'
import { measureJobs } from './jobs.ts'
import { measureMemory } from './memory.ts'
import { measureRecall } from './recall.ts'
import { markdown, type Report } from './report.ts'
import { measureSearchEmbedded, measureSearchNeo4j } from './search.ts'
import { NEO4J_VERSIONS } from './servers.ts'
import { measureSmallLibrary } from './small-library.ts'
import { measureStart } from './start.ts'

type Measure = (bench: Bench) => AsyncIterable<Report>

const MEASURES: Record<string, Measure> = {
  ingest: once(measureIngest),
  'search-embedded': measureSearchEmbedded,
  'small-library': once(measureSmallLibrary),
  start: once(measureStart),
  memory: once(measureMemory),
  identity: once(measureIdentity),
  hops: once(measureHops),
  jobs: once(measureJobs),
  'search-neo4j': measureSearchNeo4j,
  recall: measureRecall,
}
const GROUPS: Record<string, string[]> = {
  'one-process': ['ingest', 'search-embedded', 'small-library', 'start', 'memory', 'identity'],
  apart: ['hops', 'jobs', 'search-neo4j', 'recall'],
  search: ['search-embedded', 'search-neo4j'],
}

function once(measure: (bench: Bench) => Promise<Report>): Measure {
  return async function* (bench) {
    yield await measure(bench)
  }
}

function machine(): string {
  const processors = cpus()
  const load = loadavg()[0]!.toFixed(1)
  return `${processors.length} × ${processors[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}, Node ${process.version}; load before the run ${load}`
}

function sizesFrom({ quick, sizes }: { quick: boolean; sizes?: string }): Sizes {
  const all = quick ? QUICK : FULL
  if (sizes === undefined) return all
  const searched = sizes
    .split(',')
    .map(Number)
    .sort((a, b) => a - b)
  if (searched.some((size) => !Number.isInteger(size) || size < 100)) {
    stop(`--sizes takes whole numbers from 100, by comma; not ${sizes}.`)
  }
  return { ...all, store: searched.at(-1)!, searched, recall: searched }
}

function stop(reason: string): never {
  say(reason)
  process.exit(2)
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    sizes: { type: 'string' },
    neo4j: { type: 'string', default: '5.26' },
    json: { type: 'string' },
  },
})
const asked = positionals.length > 0 ? positionals : Object.keys(MEASURES)
const names = asked.flatMap((name) => GROUPS[name] ?? name)
const unknown = names.filter((name) => !(name in MEASURES))
if (unknown.length > 0) {
  const known = [...Object.keys(GROUPS), ...Object.keys(MEASURES)]
  stop(`There is no part ${unknown.join(', ')}: take ${known.join(', ')}.`)
}
const neo4j = NEO4J_VERSIONS.find((version) => version === options.neo4j)
if (!neo4j) stop(`--neo4j takes ${NEO4J_VERSIONS.join(' or ')}; not ${options.neo4j}.`)

const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-bench-'))
try {
  await using bench = new Bench({ sizes: sizesFrom(options), folder, neo4j })
  const reports: Record<string, Report[]> = {}
  const on = machine()
  process.stdout.write(`${on}.\n\n`)
  for (const name of names) {
    for await (const report of MEASURES[name]!(bench)) {
      process.stdout.write(`${markdown(report)}\n`)
      reports[name] = [...(reports[name] ?? []), report]
      // What was measured is kept when a later part goes wrong.
      if (options.json)
        await writeFile(options.json, `${JSON.stringify({ machine: on, reports }, null, 2)}\n`)
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
