/**
 * Measures retrieval quality on test collections in BEIR layout (`corpus.jsonl`, `queries.jsonl`, `qrels.tsv`):
 *
 *   npm run bench:quality -- --data DIR [--graph embedded|neo4j|both] [--neo4j 5.26|2026] [--limit N] [--keep FOLDER]
 *     [--check] [--json FILE]
 *
 * DIR is a collection, or a folder of them. Every document is uploaded over REST and taken in as any other, every query is
 * asked over REST. Prints nDCG@10, recall@5, recall@50 and MRR@10 for each retriever alone, for vector and full text
 * fused, and for all of it. `--limit` takes at most so many documents. `--keep` leaves the filled data folders of the
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
import { collectionFolders, limited, readCollection, type TestCollection } from './quality/collection.ts'
import { type Filled, filled, filledAndKept, startTemporary } from './quality/filled-store.ts'
import { measureWay, type TakenIn, takeIn, WAYS, type Way, type WayMeasured } from './quality/measure.ts'
import { milliseconds, seconds } from './report.ts'
import { NEO4J_VERSIONS, Servers } from './servers.ts'

/** The final ranking may be so much below a part of it. */
const TOLERANCE = 0.005
const TOLERANCE_OF_MODES = 0.01
const GRAPHS = ['embedded', 'neo4j'] as const
type Graph = (typeof GRAPHS)[number]
type Measured = Record<Way, WayMeasured>

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    graph: { type: 'string', default: 'embedded' },
    neo4j: { type: 'string', default: '5.26' },
    limit: { type: 'string' },
    keep: { type: 'string' },
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

const searchVariables = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('SEARCH_')))

/** The product in that mode, with the collection in stores of its own: how rare a word is counts over all of the store. */
async function withCollection(
  collection: TestCollection,
  graph: Graph,
  servers: Servers,
  version: Neo4jVersion,
): Promise<Filled<TakenIn>> {
  const fill = (system: SystemClient) => takeIn(system, collection)
  if (graph === 'neo4j') {
    const start = async (closing: AsyncDisposableStack) =>
      closing.use(await servers.system(version, { envOf: { search: searchVariables() } }))
    return filled(start, fill)
  }
  if (values.keep === undefined) return filled(startTemporary, fill)
  const name = values.limit === undefined ? collection.name : `${collection.name}-${values.limit}`
  return filledAndKept(join(resolve(values.keep), name), collection.documents, fill)
}

async function measure(system: SystemClient, collection: TestCollection, taken: TakenIn): Promise<Measured> {
  const ways: [Way, WayMeasured][] = []
  for (const { name, types } of WAYS) {
    say(`${collection.name}: ${name}`)
    ways.push([name, await measureWay(system, collection, taken, types)])
  }
  return Object.fromEntries(ways) as Measured
}

function print(collection: TestCollection, graph: Graph, taken: TakenIn, ways: Measured): void {
  const { documents, queries, name } = collection
  console.log(
    `\n**${name}**, ${graph === 'neo4j' ? `Neo4j ${values.neo4j}` : graph}: ${documents.length} documents in ${taken.passages} passages, ${queries.length} queries; taken in within ${seconds(taken.took)}.\n`,
  )
  console.log('| retrievers | nDCG@10 | recall@5 | recall@50 | MRR@10 | ms, p50 |')
  console.log('| --- | ---: | ---: | ---: | ---: | ---: |')
  for (const way of WAYS) {
    const { ndcg10, recall5, recall50, mrr10, p50 } = ways[way.name]
    const cells = [ndcg10, recall5, recall50, mrr10].map((value) => value.toFixed(3))
    console.log(`| ${[way.name, ...cells, milliseconds(p50)].join(' | ')} |`)
  }
}

/**
 * What the modes answer differently; the faults are for `--check`. The graph alone is no fault: it gives many passages the
 * same score, and their uids, drawn anew with every taking in, choose which of them are looked at.
 */
function compare(collection: TestCollection, embedded: Measured, neo4j: Measured): string[] {
  console.log(`\n**${collection.name}**, Neo4j less embedded:\n`)
  console.log('| retrievers | nDCG@10 | recall@50 | queries whose first 10 differ | as a set |')
  console.log('| --- | ---: | ---: | ---: | ---: |')
  const faults: string[] = []
  for (const { name } of WAYS) {
    const [one, other] = [embedded[name], neo4j[name]]
    const difference = other.ndcg10 - one.ndcg10
    const firstTen = (ranked: string[] | undefined) => ranked?.slice(0, 10) ?? []
    const differing = (key: (ranked: string[]) => string) =>
      [...one.rankings].filter(
        ([query, ranked]) => key(firstTen(ranked)) !== key(firstTen(other.rankings.get(query))),
      ).length
    const cells = [
      signed(difference),
      signed(other.recall50 - one.recall50),
      differing((ranked) => ranked.join('\n')),
      differing((ranked) => ranked.toSorted().join('\n')),
    ]
    console.log(`| ${[name, ...cells].join(' | ')} |`)
    if (name !== 'graph' && Math.abs(difference) > TOLERANCE_OF_MODES) {
      faults.push(`${collection.name}, ${name}: the modes differ by ${signed(difference)} nDCG@10.`)
    }
  }
  return faults
}

const signed = (value: number) => `${value < 0 ? '' : '+'}${value.toFixed(3)}`

/** Where the final ranking is worse than a part of it. */
function lost(collection: TestCollection, graph: Graph, { final, ...parts }: Measured): string[] {
  const figures = [
    ['nDCG@10', 'ndcg10'],
    ['recall@5', 'recall5'],
  ] as const
  return Object.entries(parts).flatMap(([part, measured]) =>
    figures
      .filter(([, figure]) => measured[figure] - final[figure] > TOLERANCE)
      .map(
        ([name, figure]) =>
          `${collection.name}, ${graph}: "final" has a ${name} of ${final[figure].toFixed(3)}, "${part}" alone one of ${measured[figure].toFixed(3)}.`,
      ),
  )
}

const plain = (ways: Measured) =>
  Object.fromEntries(
    Object.entries(ways).map(([way, { rankings, ...measured }]) => [
      way,
      { ...measured, rankings: Object.fromEntries(rankings) },
    ]),
  )

async function main(): Promise<void> {
  if (values.data === undefined) stop('Say which collection: --data DIR')
  const graphs = graphsAsked()
  const version = NEO4J_VERSIONS.find((one) => one === values.neo4j)
  if (!version) stop(`--neo4j takes ${NEO4J_VERSIONS.join(' or ')}; not ${values.neo4j}.`)
  if (values.keep !== undefined && values.graph === 'neo4j')
    stop('--keep keeps only what the embedded mode takes in.')
  const folders = await collectionFolders(values.data)
  await using servers = new Servers()
  const faults: string[] = []
  const figures: Record<string, Record<string, unknown>> = {}
  for (const path of folders) {
    const whole = await readCollection(path)
    const collection = values.limit ? limited(whole, Number(values.limit)) : whole
    const found: Partial<Record<Graph, Measured>> = {}
    for (const graph of graphs) {
      await using store = await withCollection(collection, graph, servers, version)
      const { system, taken } = store
      const ways = await measure(system, collection, taken)
      print(collection, graph, taken, ways)
      // The few queries of a part of a collection tell nothing.
      if (collection === whole) faults.push(...lost(collection, graph, ways))
      found[graph] = ways
      figures[collection.name] = { ...figures[collection.name], [graph]: plain(ways) }
      if (values.json) await writeFile(values.json, `${JSON.stringify(figures, null, 1)}\n`)
    }
    if (found.embedded && found.neo4j) faults.push(...compare(collection, found.embedded, found.neo4j))
  }
  for (const fault of faults) console.log(`\n${fault}`)
  if (values.check && faults.length > 0) process.exitCode = 1
}

await main()
