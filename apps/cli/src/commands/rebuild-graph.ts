import type { Command } from 'commander'
import { agrees, type RebuildReport } from '../backup/rebuild.ts'
import { runLongCommand } from '../backup/run-long-command.ts'
import { EXIT, Output } from '../output.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

export function rebuildGraphCommand(program: Command): void {
  withGlobals(
    program
      .command('rebuild-graph')
      .description('make the graph again from SQL and blobs, without a model, also while the system runs'),
  )
    .option('--all', 'write also what is there in its newest version')
    .action(async (options: GlobalOptions & { all?: boolean }) => {
      const report = await runLongCommand('rebuild-graph', { all: options.all ?? false }, options)
      new Output(options).result(report, rebuildLines(report))
      if (report.faults.length > 0) process.exitCode = EXIT.failed
    })
}

/** What a rebuilt graph holds, for people. */
export function rebuildLines(report: RebuildReport): string[] {
  const { libraries, collections, found, expected, written, current, removed, faults } = report
  return [
    `Graph: ${libraries} libraries, ${collections} collections; ${written} documents written, ${current} as they were, ${removed} removed.`,
    `It holds ${found.items} documents, ${found.chunks} passages, ${found.embeddings} vectors.`,
    ...(agrees({ ...report, faults: [] })
      ? []
      : [`It should hold ${expected.items}, ${expected.chunks}, ${expected.embeddings}.`]),
    ...faults.map(({ item_uid, fault }) => `  document ${item_uid}: ${fault}`),
  ]
}
