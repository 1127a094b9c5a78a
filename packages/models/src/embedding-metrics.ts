import { type Metrics, SpanKind, span } from '@mnemosyne/platform'

export interface ObservedModel {
  name: string
  /** Of an endpoint; a local model has none. */
  server?: { address: string; port: number }
  /** Texts, or requests with texts, that wait for their turn. */
  queueLength: () => number
}

/** Counts, times and traces the calls of an embedder, the same for every adapter. No text leaves it. */
export function observeEmbedding(metrics: Metrics, { name, server, queueLength }: ObservedModel) {
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
  const queue = metrics.gauge(
    'mnemosyne_embedding_queue_length',
    'Texts that wait for a process, or requests that wait for their turn',
  )
  const cached = metrics.counter(
    'mnemosyne_embedding_query_cache_total',
    'Query vectors that were known, or had to be made',
    ['outcome'],
  )
  const attributes = {
    'gen_ai.operation.name': 'embeddings',
    'gen_ai.request.model': name,
    ...(server && { 'server.address': server.address, 'server.port': server.port }),
  }
  const kind = server ? SpanKind.CLIENT : SpanKind.INTERNAL

  async function observe<T>(operation: string, count: number, work: () => Promise<T>): Promise<T> {
    const started = performance.now()
    let outcome = 'error'
    try {
      const pending = span(`embed ${operation}`, { ...attributes, 'embedding.texts': count }, work, kind)
      queue(queueLength())
      const result = await pending
      outcome = 'ok'
      texts({ operation }, count)
      return result
    } finally {
      queue(queueLength())
      calls({ operation, outcome })
      seconds((performance.now() - started) / 1000, { operation })
    }
  }
  return Object.assign(observe, { cache: (outcome: 'hit' | 'miss') => cached({ outcome }) })
}
