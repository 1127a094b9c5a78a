import { join } from 'node:path'
import { type GraphStore, openEmbeddedGraph } from '@mnemosyne/graph'
import { systemClock } from '@mnemosyne/platform'
import { noMetrics, say, silent } from './bench.ts'
import { MadeUpContent, storeAll } from './made-up-content.ts'
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
  /** What its chunks say, made once more. */
  passages(): Generator<{ text: string; embedding: Float32Array }>
}

/**
 * Makes a data folder as the product makes it, its libraries created over REST, and then fills its graph through
 * the port while nothing runs.
 */
export async function fillFolder(dataDir: string, chunks: number, dimensions: number): Promise<FilledFolder> {
  say(`filling a store with ${chunks} chunks`)
  const system = await startSystem(dataDir)
  const [large, small] = [await createLibrary(system, 'large'), await createLibrary(system, 'small')]
  await system.stop()

  const newContent = () => new MadeUpContent(dimensions, chunks)
  const made = newContent()
  await using graph = await openGraph(join(dataDir, 'graph.db'))
  const inSmall = Math.max(10, Math.round(chunks / 100))
  const vectors = new Map<string, Float32Array>()
  await storeAll(graph, small, made.items(inSmall), (item) => {
    for (const { chunk_uid, embedding } of item.chunks) vectors.set(chunk_uid, embedding!)
  })
  await storeAll(graph, large, made.items(chunks - inSmall))
  return {
    dataDir,
    token: system.token,
    chunks,
    large,
    small: { uid: small, vectors },
    question: (words) => made.question(words),
    *passages() {
      const again = newContent()
      for (const part of [inSmall, chunks - inSmall]) {
        for (const item of again.items(part)) {
          for (const { text, embedding } of item.chunks) yield { text, embedding: embedding! }
        }
      }
    },
  }
}

export function openGraph(file: string): Promise<GraphStore> {
  return openEmbeddedGraph({ file, log: silent, metrics: noMetrics(), clock: systemClock })
}
