import { availableParallelism } from 'node:os'
import { type Logger, type Metrics, span } from '@mnemosyne/platform'
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
/** No token of a word-piece model stands for more characters than this; longer words are one unknown token. */
const CHARACTERS_PER_TOKEN = 100

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
  const observe = modelMetrics(metrics, model, processes)
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

function modelMetrics(metrics: Metrics, model: EmbeddingModel, processes: OnnxProcesses) {
  const calls = metrics.counter('mnemosyne_embedding_calls_total', 'Calls for vectors or token counts', [
    'operation',
    'outcome',
  ])
  const texts = metrics.counter('mnemosyne_embedding_texts_total', 'Texts embedded or counted', ['operation'])
  const seconds = metrics.histogram(
    'mnemosyne_embedding_call_duration_seconds',
    'Duration of a call, waiting included',
    ['operation'],
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
  )
  const queue = metrics.gauge('mnemosyne_embedding_queue_length', 'Texts that wait for a process')
  const cached = metrics.counter(
    'mnemosyne_embedding_query_cache_total',
    'Query vectors that were known, or had to be made',
    ['outcome'],
  )

  async function observe<T>(operation: string, count: number, work: () => Promise<T>): Promise<T> {
    const started = performance.now()
    let outcome = 'error'
    try {
      const pending = span(
        `embed ${operation}`,
        { 'embedding.model': model.name, 'embedding.texts': count },
        work,
      )
      queue(processes.queueLength)
      const result = await pending
      outcome = 'ok'
      texts({ operation }, count)
      return result
    } finally {
      queue(processes.queueLength)
      calls({ operation, outcome })
      seconds((performance.now() - started) / 1000, { operation })
    }
  }
  return Object.assign(observe, { cache: (outcome: 'hit' | 'miss') => cached({ outcome }) })
}
