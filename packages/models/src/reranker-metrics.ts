import { type Metrics, SpanKind, span } from '@mnemosyne/platform'

/** Counts, times and traces the calls of a re-ranker. No text leaves it. */
export function observeReranking(
  metrics: Metrics,
  { name, server }: { name: string; server: { address: string; port: number } },
) {
  const calls = metrics.counter('mnemosyne_reranker_calls_total', 'Calls for scores', ['outcome'])
  const documents = metrics.counter('mnemosyne_reranker_documents_total', 'Documents that were scored')
  const seconds = metrics.histogram(
    'mnemosyne_reranker_call_duration_seconds',
    'Duration of a call, waiting and further tries included',
    [],
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60],
  )
  const attributes = {
    'gen_ai.operation.name': 'rerank',
    'gen_ai.request.model': name,
    'server.address': server.address,
    'server.port': server.port,
  }
  return async function observe<T>(count: number, work: () => Promise<T>): Promise<T> {
    const started = performance.now()
    let outcome = 'error'
    try {
      const result = await span('rerank', { ...attributes, 'rerank.documents': count }, work, SpanKind.CLIENT)
      outcome = 'ok'
      documents({}, count)
      return result
    } finally {
      calls({ outcome })
      seconds((performance.now() - started) / 1000, {})
    }
  }
}
