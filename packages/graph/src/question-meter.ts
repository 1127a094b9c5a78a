import { type Metrics, SpanKind, span } from '@mnemosyne/platform'

/**
 * Runs the work of one question in a span, and takes its time. With attributes it is asked of a server: the span is
 * that of its client.
 */
export type QuestionMeter = <T>(
  question: string,
  attributes: Record<string, string | number>,
  work: () => Promise<T>,
) => Promise<T>

export function questionMeter(metrics: Metrics): QuestionMeter {
  const observe = metrics.histogram(
    'mnemosyne_graph_query_duration_seconds',
    'How long the graph store took to answer, waiting included.',
    ['query'],
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
  )
  return async (question, attributes, work) => {
    const from = performance.now()
    try {
      const kind = 'server.address' in attributes ? SpanKind.CLIENT : SpanKind.INTERNAL
      return await span(`graph ${question}`, attributes, work, kind)
    } finally {
      observe((performance.now() - from) / 1000, { query: question })
    }
  }
}
