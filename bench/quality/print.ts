import { mean, milliseconds, seconds } from '../report.ts'
import { type Test, WAYS, type Way, type WayMeasured } from './measure.ts'
import type { TakenIn } from './take-in.ts'

export type Measured = Record<Way, WayMeasured>

/** The final ranking may be so much below a part of it. */
const TOLERANCE = 0.005
const TOLERANCE_OF_MODES = 0.01
const HELD = [
  ['nDCG@10', 'ndcg10'],
  ['recall@5', 'recall5'],
] as const

/** The figures of one test in one mode. */
export function printFigures(test: Test, mode: string, taken: TakenIn, ways: Measured): void {
  const { name, about, questions } = test
  console.log(
    `\n**${name}**, ${mode}: ${about}, ${questions.length} queries; taken in within ${seconds(taken.took)}.\n`,
  )
  console.log('| retrievers | nDCG@10 | recall@5 | recall@50 | MRR@10 | ms, p50 |')
  console.log('| --- | ---: | ---: | ---: | ---: | ---: |')
  for (const way of WAYS) {
    const { ndcg10, recall5, recall50, mrr10, p50 } = ways[way.name]
    const cells = [ndcg10, recall5, recall50, mrr10].map((value) => value.toFixed(3))
    console.log(`| ${[way.name, ...cells, milliseconds(p50)].join(' | ')} |`)
  }
}

/**
 * Beside each other: the final ranking of every test against the best of its parts, and the standard error of the
 * difference: what other questions of the kind may change in it.
 */
export function printSummary(measured: { name: string; mode: string; ways: Measured }[]): void {
  const heads = HELD.flatMap(([figure]) => [`${figure}: final`, 'best part', 'difference'])
  console.log(`\n| | | ${heads.join(' | ')} |`)
  console.log(`| --- | --- |${' ---: |'.repeat(heads.length)}`)
  for (const { name, mode, ways } of measured) {
    const { final, ...parts } = ways
    const cells = HELD.flatMap(([, figure]) => {
      const [part, best] = Object.entries(parts).reduce((a, b) => (b[1][figure] > a[1][figure] ? b : a))
      const differences = final.results.map((result, n) => result[figure] - best.results[n]![figure])
      const difference = `${signed(mean(differences))} ± ${standardError(differences).toFixed(3)}`
      return [final[figure].toFixed(3), `${best[figure].toFixed(3)} (${part})`, difference]
    })
    console.log(`| ${[name, mode, ...cells].join(' | ')} |`)
  }
}

function standardError(values: readonly number[]): number {
  const middle = mean(values)
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0)
  return Math.sqrt(squares / Math.max(1, values.length - 1) / values.length)
}

/** Where the final ranking is worse than a part of it. */
export function lost({ name }: Test, mode: string, { final, ...parts }: Measured): string[] {
  return Object.entries(parts).flatMap(([part, measured]) =>
    HELD.filter(([, figure]) => measured[figure] - final[figure] > TOLERANCE).map(
      ([label, figure]) =>
        `${name}, ${mode}: "final" has a ${label} of ${final[figure].toFixed(3)}, "${part}" alone one of ${measured[figure].toFixed(3)}.`,
    ),
  )
}

/**
 * What the modes answer differently; the faults are for `--check`. The graph alone is no fault: it gives many passages the
 * same score, and their uids, drawn anew with every taking in, choose which of them are looked at.
 */
export function compareModes({ name: test }: Test, embedded: Measured, neo4j: Measured): string[] {
  console.log(`\n**${test}**, Neo4j less embedded:\n`)
  console.log('| retrievers | nDCG@10 | recall@50 | queries whose first 10 differ | as a set |')
  console.log('| --- | ---: | ---: | ---: | ---: |')
  const faults: string[] = []
  for (const { name } of WAYS) {
    const [one, other] = [embedded[name], neo4j[name]]
    const difference = other.ndcg10 - one.ndcg10
    const firstTen = (ranked: string[] | undefined) => ranked?.slice(0, 10) ?? []
    const differing = (key: (ranked: string[]) => string) =>
      [...one.rankings].filter(
        ([query, ranked]) => key(firstTen(ranked)) !== key(firstTen(other.rankings.get(query))),
      ).length
    const cells = [
      signed(difference),
      signed(other.recall50 - one.recall50),
      differing((ranked) => ranked.join('\n')),
      differing((ranked) => ranked.toSorted().join('\n')),
    ]
    console.log(`| ${[name, ...cells].join(' | ')} |`)
    if (name !== 'graph' && Math.abs(difference) > TOLERANCE_OF_MODES) {
      faults.push(`${test}, ${name}: the modes differ by ${signed(difference)} nDCG@10.`)
    }
  }
  return faults
}

const signed = (value: number) => `${value < 0 ? '' : '+'}${value.toFixed(3)}`

export const plain = (ways: Measured) =>
  Object.fromEntries(
    Object.entries(ways).map(([way, { rankings, results: _, ...measured }]) => [
      way,
      { ...measured, rankings: Object.fromEntries(rankings) },
    ]),
  )
