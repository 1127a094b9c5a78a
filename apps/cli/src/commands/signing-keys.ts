import type { SigningKey } from '@mnemosyne/contracts'
import type { Command } from 'commander'
import { asColumns } from '../columns.ts'
import { Output } from '../output.ts'
import { runAdministrative } from './run-administrative.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

export function seedSigningKeyCommand(program: Command): void {
  withGlobals(
    program.command('seed-signing-key').description('make the key that signs team tokens; safe to run again'),
  )
    .requiredOption('--kid <kid>', 'its name')
    .option('--retire-other', 'retire every other key: tokens that they signed die at once')
    .action(async (options: GlobalOptions & { kid: string; retireOther?: boolean }) => {
      const { kid, retireOther } = options
      await runAdministrative('seed-signing-key', { kid, retireOther }, options)
      new Output(options).result({ kid }, [kid])
    })
}

export function listSigningKeysCommand(program: Command): void {
  withGlobals(
    program
      .command('list-signing-keys')
      .description('keys of team tokens; their secrets stay where they are'),
  ).action(async (options: GlobalOptions) => {
    const answer = await runAdministrative<{ keys: SigningKey[] }>('list-signing-keys', {}, options)
    new Output(options).result(
      answer,
      asColumns(answer.keys.map((key) => [key.kid, stateOf(key), `made ${key.created_at}`])),
    )
  })
}

function stateOf({ is_current, retired_at }: SigningKey): string {
  if (retired_at) return `retired ${retired_at}`
  return is_current ? 'signs' : 'verifies'
}

export function retireSigningKeyCommand(program: Command): void {
  withGlobals(
    program
      .command('retire-signing-key')
      .description('retire a key for good: team tokens that it signed die at once'),
  )
    .requiredOption('--kid <kid>', 'its name')
    .action(async (options: GlobalOptions & { kid: string }) => {
      const { kid } = options
      const key = await runAdministrative<SigningKey>('retire-signing-key', { kid }, options)
      new Output(options).result(key, [`Signing key ${kid} is retired.`])
    })
}
