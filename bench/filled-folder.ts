import { join } from 'node:path'
import { type GraphStore, openEmbeddedGraph } from '@mnemosyne/graph'
import { systemClock } from '@mnemosyne/platform'
import { noMetrics, say, silent } from './bench.ts'
import { MadeUpContent, store } from './made-up-content.ts'
import { createLibrary, startSystem } from './system.ts'

/** A data folder with two libraries: one holds a hundredth of all chunks. */
export interface FilledFolder {
  dataDir: string
  token: string
  chunks: number
  large: string
  small: { uid: string; vectors: Map<string, Float32Array> }
  /** A question of `words` words, as its texts use them. No two are the same. */
  question(words: number): string
}

const CHUNKS_AN_ITEM = 50

/**
 * Makes a data folder as the product makes it, its libraries created over REST, and then fills its graph through
 * the port while nothing runs.
 */
export async function fillFolder(dataDir: string, chunks: number, dimensions: number): Promise<FilledFolder> {
  say(`filling a store with ${chunks} chunks`)
  const system = await startSystem(dataDir)
  const [large, small] = [await createLibrary(system, 'large'), await createLibrary(system, 'small')]
  await system.stop()

  const made = new MadeUpContent(dimensions, chunks)
  await using graph = await openGraph(join(dataDir, 'graph.db'))
  const inSmall = Math.max(10, Math.round(chunks / 100))
  const vectors = await fillLibrary(graph, small, inSmall, made)
  await fillLibrary(graph, large, chunks - inSmall, made)
  return {
    dataDir,
    token: system.token,
    chunks,
    large,
    small: { uid: small, vectors },
    question: (words) => made.question(words),
  }
}

export function openGraph(file: string): Promise<GraphStore> {
  return openEmbeddedGraph({ file, log: silent, metrics: noMetrics(), clock: systemClock })
}

async function fillLibrary(
  graph: GraphStore,
  library_uid: string,
  chunks: number,
  made: MadeUpContent,
): Promise<Map<string, Float32Array>> {
  const vectors = new Map<string, Float32Array>()
  for (let at = 0; at < chunks; at += CHUNKS_AN_ITEM) {
    const item = made.item(Math.min(CHUNKS_AN_ITEM, chunks - at))
    await store(graph, library_uid, item)
    for (const { chunk_uid, embedding } of item.chunks) vectors.set(chunk_uid, embedding!)
  }
  return vectors
}
