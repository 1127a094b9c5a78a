export interface ExposedMetric {
  type: string
  /** Names of the labels of its samples; undefined without any. */
  labels: string[] | undefined
  /** The sum of its samples; of a histogram, how many were observed. */
  value: number
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/
const LABEL = /(\w+)="(?:[^"\\]|\\.)*"/g
/** Of one sample of a histogram among others. */
const OWN_LABELS = new Set(['le', 'quantile'])

/** Metrics in Prometheus's text form, by name. Several processes' texts may stand one after another. */
export function exposedMetrics(text: string): Map<string, ExposedMetric> {
  const metrics = new Map<string, ExposedMetric>()
  for (const line of text.split('\n')) {
    const [, name, type] = /^# TYPE (\S+) (\S+)/.exec(line) ?? []
    if (name && type && !metrics.has(name)) metrics.set(name, { type, labels: undefined, value: 0 })
    const [, sample, labels = '', value] = SAMPLE.exec(line) ?? []
    if (!sample) continue
    const metric = metrics.get(sample) ?? metrics.get(sample.replace(/_(bucket|sum|count)$/, ''))
    if (!metric) throw new Error(`a sample without a type: ${sample}`)
    const names = [...labels.matchAll(LABEL)]
      .map(([, label]) => label!)
      .filter((label) => !OWN_LABELS.has(label))
    metric.labels ??= names.sort()
    if (metric.type !== 'histogram' || sample.endsWith('_count')) metric.value += Number(value)
  }
  return metrics
}

/** The larger value of each metric of two looks. */
export function mostOf(
  one: Map<string, ExposedMetric>,
  other: Map<string, ExposedMetric>,
): Map<string, ExposedMetric> {
  const most = new Map(one)
  for (const [name, metric] of other) {
    const known = most.get(name)
    most.set(name, {
      type: metric.type,
      labels: metric.labels ?? known?.labels,
      value: Math.max(metric.value, known?.value ?? 0),
    })
  }
  return most
}
