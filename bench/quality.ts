/**
 * Measures retrieval quality on test collections in BEIR layout (`corpus.jsonl`, `queries.jsonl`, `qrels.tsv`):
 *
 *   npm run bench:quality -- --data DIR [--arrangement apart,mixed,small,long,sectioned,jumbled|all] [--limit N] [--keep FOLDER]
 *     [--graph embedded|neo4j|both] [--neo4j 5.26|2026] [--check] [--json FILE]
 *
 * DIR is a collection, or a folder of them. Every document is uploaded over REST and taken in as any other, every query is
 * asked over REST. Prints nDCG@10, recall@5, recall@50 and MRR@10 for each retriever alone, for vector and full text
 * fused, and for all of it. `--arrangement` says how the collections lie in stores (`quality/arrangements.ts`): apart when
 * it is not given. `--limit` takes at most so many documents of each. `--keep` leaves the filled data folders of the
 * embedded mode in FOLDER, where the next run finds them and takes nothing in. `--check` ends with 1 when the final ranking
 * is more than 0.005 below a part of it in nDCG@10 or recall@5, or the modes differ by more than 0.01 nDCG@10. `SEARCH_*`
 * variables apply.
 */
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Neo4jVersion } from '@mnemosyne/platform/testing'
import type { SystemClient } from '../test/system/client.ts'
import { say } from './bench.ts'
import { ARRANGEMENTS, type Arrangement, type StorePlan } from './quality/arrangements.ts'
import { collectionFolders, limited, readCollection } from './quality/collection.ts'
import { type Filled, filled, filledAndKept, startTemporary } from './quality/filled-store.ts'
import { measureWay, type Test, WAYS, type Way, type WayMeasured } from './quality/measure.ts'
import { compareModes, lost, type Measured, plain, printFigures, printSummary } from './quality/print.ts'
import type { TakenIn } from './quality/take-in.ts'
import { NEO4J_VERSIONS, Servers } from './servers.ts'

const GRAPHS = ['embedded', 'neo4j'] as const
type Graph = (typeof GRAPHS)[number]

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    arrangement: { type: 'string', default: 'apart' },
    limit: { type: 'string' },
    keep: { type: 'string' },
    graph: { type: 'string', default: 'embedded' },
    neo4j: { type: 'string', default: '5.26' },
    check: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})

function stop(reason: string): never {
  say(reason)
  process.exit(2)
}

function graphsAsked(): readonly Graph[] {
  if (values.graph === 'both') return GRAPHS
  const one = GRAPHS.find((name) => name === values.graph)
  return one ? [one] : stop(`--graph takes embedded, neo4j or both; not ${values.graph}.`)
}

function arrangementsAsked(): Arrangement[] {
  const known = Object.keys(ARRANGEMENTS) as Arrangement[]
  if (values.arrangement === 'all') return known
  return values.arrangement.split(',').map((name) => {
    const one = known.find((other) => other === name.trim())
    return one ?? stop(`--arrangement takes ${known.join(', ')} or all; not ${name}.`)
  })
}

async function plansAsked(): Promise<StorePlan[]> {
  if (values.data === undefined) stop('Say which collection: --data DIR')
  const arrangements = arrangementsAsked()
  const folders = await collectionFolders(values.data)
  const whole = await Promise.all(folders.map(readCollection))
  const limit = values.limit === undefined ? Number.POSITIVE_INFINITY : Number(values.limit)
  const collections = whole.map((collection) => limited(collection, limit))
  return arrangements.flatMap((name) => ARRANGEMENTS[name](collections))
}

const searchVariables = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('SEARCH_')))

/** The product in that mode, filled as planned. */
function open(
  { name, contents, fill }: StorePlan,
  graph: Graph,
  servers: Servers,
  version: Neo4jVersion,
): Promise<Filled<TakenIn>> {
  if (graph === 'neo4j') {
    const start = async (closing: AsyncDisposableStack) =>
      closing.use(await servers.system(version, { envOf: { search: searchVariables() } }))
    return filled(start, fill)
  }
  if (values.keep === undefined) return filled(startTemporary, fill)
  const folder = values.limit === undefined ? name : `${name}-${values.limit}`
  return filledAndKept(join(resolve(values.keep), folder), contents, fill)
}

async function measure(system: SystemClient, test: Test): Promise<Measured> {
  const ways: [Way, WayMeasured][] = []
  for (const { name, types } of WAYS) {
    say(`${test.name}: ${name}`)
    ways.push([name, await measureWay(system, test, types)])
  }
  return Object.fromEntries(ways) as Measured
}

async function main(): Promise<void> {
  const graphs = graphsAsked()
  const version = NEO4J_VERSIONS.find((one) => one === values.neo4j)
  if (!version) stop(`--neo4j takes ${NEO4J_VERSIONS.join(' or ')}; not ${values.neo4j}.`)
  if (values.keep !== undefined && values.graph === 'neo4j')
    stop('--keep keeps only what the embedded mode takes in.')
  const plans = await plansAsked()
  await using servers = new Servers()
  const faults: string[] = []
  const measured: { name: string; mode: string; ways: Measured }[] = []
  const figures: Record<string, Record<string, unknown>> = {}
  for (const plan of plans) {
    const found = new Map<string, { test: Test; ways: Partial<Record<Graph, Measured>> }>()
    for (const graph of graphs) {
      const mode = graph === 'neo4j' ? `Neo4j ${version}` : graph
      await using store = await open(plan, graph, servers, version)
      for (const test of plan.tests(store.taken)) {
        const ways = await measure(store.system, test)
        printFigures(test, mode, store.taken, ways)
        measured.push({ name: test.name, mode, ways })
        // The few queries of a part of a collection tell nothing.
        if (values.limit === undefined) faults.push(...lost(test, mode, ways))
        found.set(test.name, { test, ways: { ...found.get(test.name)?.ways, [graph]: ways } })
        figures[test.name] = { ...figures[test.name], [graph]: plain(ways) }
        if (values.json) await writeFile(values.json, `${JSON.stringify(figures, null, 1)}\n`)
      }
    }
    for (const { test, ways } of found.values()) {
      if (ways.embedded && ways.neo4j) faults.push(...compareModes(test, ways.embedded, ways.neo4j))
    }
  }
  printSummary(measured)
  for (const fault of faults) console.log(`\n${fault}`)
  if (values.check && faults.length > 0) process.exitCode = 1
}

await main()
