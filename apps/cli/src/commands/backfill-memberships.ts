import type { Command } from 'commander'
import { Output } from '../output.ts'
import { runAdministrative } from './run-administrative.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

export function backfillMembershipsCommand(program: Command): void {
  withGlobals(
    program
      .command('backfill-memberships')
      .description(
        "give every library's owner the owner's membership where it is missing; safe to run again",
      ),
  ).action(async (options: GlobalOptions) => {
    const answer = await runAdministrative<{ libraries: number; added: number }>(
      'backfill-memberships',
      {},
      options,
    )
    const { libraries, added } = answer
    new Output(options).result(answer, [
      `Of ${libraries} libraries with an owner ${added} lacked the owner's membership, and have it now.`,
    ])
  })
}
