import type { Team } from '@mnemosyne/contracts'
import type { Command } from 'commander'
import { asColumns } from '../columns.ts'
import { Output } from '../output.ts'
import { runAdministrative } from './run-administrative.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

type ListedTeam = Team & { owner_username: string }

export function listTeamsCommand(program: Command): void {
  withGlobals(program.command('list-teams').description('teams with their owners and workspaces'))
    .option('--owner <username>', 'of this user only')
    .action(async (options: GlobalOptions & { owner?: string }) => {
      const { owner } = options
      const answer = await runAdministrative<{ teams: ListedTeam[] }>('list-teams', { owner }, options)
      new Output(options).result(
        answer,
        asColumns(
          answer.teams.map(({ id, owner_username, name, active, workspace_ids }) => [
            id,
            owner_username,
            name,
            `${active ? '' : 'inactive, '}${workspace_ids.length} workspaces`,
          ]),
        ),
      )
    })
}

export function disableTeamCommand(program: Command): void {
  withGlobals(
    program
      .command('disable-team')
      .argument('<id>')
      .description('deactivate a team: its token dies at once; safe to run again'),
  ).action(async (id: string, options: GlobalOptions) => {
    const team = await runAdministrative<ListedTeam>('disable-team', { id }, options)
    new Output(options).result(team, [`Team ${team.name} (${team.id}) is inactive.`])
  })
}
