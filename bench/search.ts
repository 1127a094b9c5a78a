import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { measureAtOnce } from './at-once.ts'
import { type Bench, say } from './bench.ts'
import { type FilledFolder, openGraph } from './filled-folder.ts'
import { HITS, productAt } from './http-search.ts'
import { MadeUpContent, storeAll } from './made-up-content.ts'
import { installPeer, PEER, Peer } from './peer.ts'
import { percent, type Report, seconds } from './report.ts'
import { atOnceReport, stagesReport } from './search-reports.ts'
import { measureStages, type Place, WORDS_A_QUESTION } from './search-stages.ts'
import { openNeo4j } from './servers.ts'
import { createLibrary, startSystem } from './system.ts'

/** Large ones: Neo4j takes them in several times as fast as many small ones. */
const CHUNKS_AN_ITEM = 250
const RECALL_QUESTIONS = 100

/** The product in one process, beside its parts and beside the peer. Two tables a size. */
export async function* measureSearchEmbedded(bench: Bench): AsyncGenerator<Report> {
  const peerPython = await installPeer().catch((error: Error) => {
    say(`WITHOUT ${PEER}, which could not be installed: ${error.message}`)
    return undefined
  })
  for (const chunks of bench.sizes.searched) {
    await using closing = new AsyncDisposableStack()
    const filled = await bench.filled(chunks)
    const peer = peerPython === undefined ? undefined : await startPeer(bench, peerPython, filled)
    closing.use(peer)
    const graph = closing.use(await openGraph(await copyOfStore(bench, filled)))
    const system = closing.use(await startSystem(filled.dataDir, filled.token))
    const question = () => filled.question(WORDS_A_QUESTION)
    const notes = peer
      ? await aboutPeer(peer, question)
      : [`**Without ${PEER}**, which could not be installed; the run said why.`]
    yield* measurePlace(
      bench,
      {
        name: 'embedded',
        chunks,
        product: productAt(system),
        graph,
        libraries: [filled.large, filled.small.uid],
        question,
        peer,
      },
      notes,
    )
  }
}

/** The services apart, whose store grows from size to size. Two tables a size. */
export async function* measureSearchNeo4j(bench: Bench): AsyncGenerator<Report> {
  await using system = await bench.servers.system(bench.neo4j)
  await using graph = await openNeo4j(system.servers.neo4jUrl)
  const library = await createLibrary(system, 'notes')
  const { dimensions } = (await bench.model()).model
  const made = new MadeUpContent(dimensions, 3)
  await graph.setUpVectors(dimensions)
  let stored = 0
  for (const chunks of bench.sizes.searched) {
    const added = chunks - stored
    say(`Neo4j ${bench.neo4j}: storing ${added} chunks`)
    const took = await storeAll(graph, library, made.items(added, CHUNKS_AN_ITEM))
    stored = chunks
    yield* measurePlace(
      bench,
      {
        name: `Neo4j ${bench.neo4j}`,
        chunks,
        product: productAt(system),
        graph,
        libraries: [library],
        question: () => made.question(WORDS_A_QUESTION),
      },
      [`${added.toLocaleString('en')} chunks added through the graph port in ${seconds(took)}.`],
    )
  }
}

async function* measurePlace(bench: Bench, place: Place, notes: string[]): AsyncGenerator<Report> {
  const stages = await measureStages(place, await bench.model(), bench.sizes.searches)
  yield stagesReport(place, stages, notes)
  yield atOnceReport(place, await measureAtOnce(place, bench.sizes.callersSeconds * 1000), bench.sizes)
}

async function startPeer(bench: Bench, python: string, filled: FilledFolder): Promise<Peer> {
  say(`${PEER}: indexing ${filled.chunks} passages`)
  const modelDir = await bench.modelDir()
  return Peer.start({ python, modelDir, folder: bench.newFolder(), passages: filled.passages() })
}

/** What has to be known to compare: the product's vector search is exact at these sizes. */
async function aboutPeer(peer: Peer, question: () => string): Promise<string[]> {
  const recall = await peer.recall(Array.from({ length: RECALL_QUESTIONS }, question))
  return [
    `${PEER} has the same model file, passages and vectors, its hybrid index of faiss and BM25, and the texts; it knows no users, scopes or explanations, and a cache of query vectors was added to it. Of the ${HITS} nearest passages by vector its index finds ${percent(recall)} (from 5,000 passages it is approximate). Indexing took it ${seconds(peer.indexed * 1000)}, vectors known.`,
  ]
}

/** The product has the original open. */
async function copyOfStore(bench: Bench, { dataDir }: FilledFolder): Promise<string> {
  const folder = bench.newFolder()
  await mkdir(folder)
  await copyFile(join(dataDir, 'graph.db'), join(folder, 'graph.db'))
  return join(folder, 'graph.db')
}
