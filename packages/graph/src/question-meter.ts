import { type Metrics, pastSpan, SpanKind, span } from '@mnemosyne/platform'

/** Tells metrics and traces of the questions that a store is asked. */
export interface QuestionMeter {
  /**
   * Runs the work of one question in a span, and takes its time. With attributes it is asked of a server: the span is
   * that of its client.
   */
  around<T>(question: string, attributes: Record<string, string | number>, work: () => Promise<T>): Promise<T>
  /** Of a question that was asked and answered elsewhere, from a time of the epoch in milliseconds on. */
  past(asked: { question: string; from: number; seconds: number }): void
}

export function questionMeter(metrics: Metrics): QuestionMeter {
  const observe = metrics.histogram(
    'mnemosyne_graph_query_duration_seconds',
    'How long the graph store took to answer, waiting included.',
    ['query'],
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
  )
  return {
    async around(question, attributes, work) {
      const from = performance.now()
      try {
        const kind = 'server.address' in attributes ? SpanKind.CLIENT : SpanKind.INTERNAL
        return await span(`graph ${question}`, attributes, work, kind)
      } finally {
        observe((performance.now() - from) / 1000, { query: question })
      }
    },
    past({ question, from, seconds }) {
      pastSpan(`graph ${question}`, from, seconds)
      observe(seconds, { query: question })
    },
  }
}
