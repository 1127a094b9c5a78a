import { ModelError } from '@mnemosyne/models'
import { type Logger, type Metrics, span } from '@mnemosyne/platform'
import { PartUnavailable, type Stage, type StageWatch } from './parts.ts'

export interface SearchMetrics {
  stage(seconds: number, stage: Stage): void
  failure(stage: Stage): void
}

export function searchMetrics(metrics: Metrics): SearchMetrics {
  const duration = metrics.histogram(
    'mnemosyne_search_stage_duration_seconds',
    'Time that a search spends in each stage.',
    ['stage'],
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
  )
  const failures = metrics.counter(
    'mnemosyne_search_part_failures_total',
    'Searches that were answered without a part, or not at all, because it failed or was late.',
    ['stage'],
  )
  return {
    stage: (seconds, stage) => duration(seconds, { stage }),
    failure: (stage) => failures({ stage }),
  }
}

/** Tells log, metrics and traces of the stages of searches. */
export function watchStages({ log, metrics }: { log: Logger; metrics: SearchMetrics }): StageWatch {
  return {
    around: (stage, work) => span(`search ${stage}`, {}, work),
    took: (stage, seconds) => metrics.stage(seconds, stage),
    failed(stage, error) {
      metrics.failure(stage)
      if (!(error instanceof PartUnavailable)) log.warn({ err: error, stage }, 'search part failed')
    },
    wording: (error) => (error instanceof ModelError ? error.message : undefined),
  }
}
