/** What a measurement found: a table for people, and its figures by name for programs. */
export interface Report {
  title: string
  /** What was done, in a sentence or two. */
  about: string
  columns: string[]
  rows: string[][]
  /** What has to be known to read the table. */
  notes?: string[]
  figures: Record<string, number>
}

/** The value below which `share` (0 to 1) of the values lie; the nearest rank, so it is one of them. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

export function mean(values: readonly number[]): number {
  return sum(values) / values.length
}

/** Times in milliseconds as `p50 / p95 / p99`. */
export function spread(times: readonly number[]): string {
  return [0.5, 0.95, 0.99].map((share) => milliseconds(percentile(times, share))).join(' / ')
}

export function milliseconds(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1)
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

export function markdown(report: Report): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    `## ${report.title}`,
    '',
    report.about,
    '',
    line(report.columns),
    line(report.columns.map((_, column) => (column === 0 ? '---' : '---:'))),
    ...report.rows.map(line),
    ...(report.notes ?? []).flatMap((note) => ['', note]),
    '',
  ].join('\n')
}
