import type { GoldenRunDetail } from '@mnemosyne/contracts'
import { type Command, InvalidArgumentError } from 'commander'
import { asColumns } from '../columns.ts'
import { type Connection, connect } from '../connect.ts'
import { findLibrary } from '../find-library.ts'
import { EXIT, Output } from '../output.ts'
import { type GlobalOptions, withSystem } from './shared-options.ts'

interface GoldenQueriesOptions extends GlobalOptions {
  library: string
  minRecall?: number
  minMrr?: number
}

export function goldenQueriesCommand(program: Command): void {
  withSystem(
    program
      .command('golden-queries')
      .description("replay a library's golden queries, and show where what they want ranks"),
  )
    .requiredOption('--library <name|uid>', 'of this library')
    .option('--min-recall <share>', 'end with 1 when recall@10 is below', asShare)
    .option('--min-mrr <share>', 'end with 1 when the mean reciprocal rank is below', asShare)
    .action(async (options: GoldenQueriesOptions) => {
      const output = new Output(options)
      const system = await connect(options, process.env)
      try {
        const { uid } = await findLibrary(system, options.library)
        const run = await replay(system, uid, output)
        const faults = shortfalls(run, options)
        output.result(run, [...runLines(run), ...faults])
        if (faults.length > 0) process.exitCode = EXIT.failed
      } finally {
        await system.close()
      }
    })
}

/** All of them, however many requests that takes. */
async function replay(system: Connection, uid: string, output: Output): Promise<GoldenRunDetail> {
  for (;;) {
    const run = await system.goldenQueries.run({ uid })
    if (run.remaining === 0) return run
    output.say(`${run.queries} asked, ${run.remaining} to go`)
  }
}

function runLines(run: GoldenRunDetail): string[] {
  const { queries, gone, exact, degraded } = run
  const rows = run.results.map(({ rank, counted_by, query }) => [
    counted_by === null ? 'gone' : rank === null ? '-' : String(rank),
    query.replace(/\s+/g, ' ').slice(0, 100),
  ])
  const left = gone > 0 ? `, ${gone} of which want what is deleted and do not count` : ''
  return [
    ...asColumns(rows),
    ...degraded.map(({ part, queries }) => `! ${queries} were answered without ${part}`),
    ...(exact ? [] : ['! not every passage of the library was compared, each time']),
    `recall@10 ${shown(run.recall_at_10)}, MRR ${shown(run.mrr)}, of ${queries} golden queries${left}`,
  ]
}

/** What is below what was asked for; a measure that there is not is. */
function shortfalls(
  { recall_at_10, mrr }: GoldenRunDetail,
  { minRecall, minMrr }: GoldenQueriesOptions,
): string[] {
  const below = (name: string, value: number | null, least: number | undefined) =>
    least !== undefined && (value === null || value < least)
      ? [`! ${name} is ${shown(value)}, below ${least}`]
      : []
  return [...below('recall@10', recall_at_10, minRecall), ...below('MRR', mrr, minMrr)]
}

const shown = (measure: number | null) => (measure === null ? '-' : measure.toFixed(3))

function asShare(text: string): number {
  const share = Number(text)
  if (text.trim() === '' || !(share >= 0 && share <= 1))
    throw new InvalidArgumentError('It has to be a number from 0 to 1.')
  return share
}
