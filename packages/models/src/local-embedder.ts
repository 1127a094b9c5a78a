import { availableParallelism } from 'node:os'
import type { Logger, Metrics } from '@mnemosyne/platform'
import { CHARACTERS_PER_TOKEN } from './clip.ts'
import { observeEmbedding } from './embedding-metrics.ts'
import { modelRevision, readModelFolder } from './model-folder.ts'
import { OnnxProcesses } from './onnx-processes.ts'
import type { Embedder, EmbeddingModel } from './port.ts'
import { QueryCache, queryKey } from './query-cache.ts'

export interface LocalEmbedderOptions {
  /** Folder with an ONNX model and its tokenizer, as `findModel` returns it. */
  modelDir: string
  /**
   * Texts embedded at once, each by a process of its own on one core with its own copy of the model.
   * By default as many as the machine has cores, at most 4.
   */
  processes?: number
  log: Logger
  metrics: Metrics
}

const CACHED_QUERIES = 2_000

/**
 * An embedder that runs an ONNX model in processes of its own, one text a run.
 *
 * A query goes to an idle process, or waits for one passage that is being embedded. Instructions are
 * ignored. Resolves when the model is loaded and has answered once; rejects with `ModelUnusable`.
 */
export async function openLocalEmbedder({
  modelDir,
  processes: count = Math.min(availableParallelism(), 4),
  log,
  metrics,
}: LocalEmbedderOptions): Promise<Embedder & AsyncDisposable> {
  const folder = readModelFolder(modelDir)
  const [revision, { processes, dimensions }] = await Promise.all([
    modelRevision(folder),
    OnnxProcesses.open(folder, count, log),
  ])
  const { name, maxTokens, queryPrefix, passagePrefix } = folder
  const model: EmbeddingModel = { name, dimensions, maxTokens, revision, takesInstructions: false }
  const cache = new QueryCache(CACHED_QUERIES)
  const observe = observeEmbedding(metrics, { name, queueLength: () => processes.queueLength })
  const { pooling } = folder
  log.info(
    { model: name, dimensions, pooling, maxTokens, queryPrefix, processes: count },
    'embedding model loaded',
  )

  function clip(text: string): string {
    return text.slice(0, maxTokens * CHARACTERS_PER_TOKEN)
  }

  async function queryVector(query: string, signal?: AbortSignal): Promise<Float32Array> {
    const work = { kind: 'vector' as const, text: queryPrefix + clip(query), urgent: true }
    return (await processes.ask<Float32Array>([work], signal))[0]!
  }

  return {
    model,

    async embedPassages(passages, { signal } = {}) {
      const work = passages.map((text) => ({
        kind: 'vector' as const,
        text: passagePrefix + clip(text),
        urgent: false,
      }))
      return observe('passages', passages.length, () => processes.ask<Float32Array>(work, signal))
    },

    async embedQuery(query, { instruction, signal, cache: useCache = true } = {}) {
      signal?.throwIfAborted()
      const key = queryKey(model, clip(query), instruction)
      const known = useCache ? cache.get(key) : undefined
      if (useCache) observe.cache(known ? 'hit' : 'miss')
      if (known) return known
      const vector = await observe('query', 1, () => queryVector(query, signal))
      if (useCache) cache.set(key, vector)
      return vector
    },

    async countTokens(texts) {
      const work = { kind: 'counts' as const, texts, urgent: true }
      return observe('count', texts.length, async () => (await processes.ask<number[]>([work]))[0]!)
    },

    async ping() {
      await queryVector('ping')
    },

    close: () => processes.close(),
    [Symbol.asyncDispose]: () => processes.close(),
  }
}
