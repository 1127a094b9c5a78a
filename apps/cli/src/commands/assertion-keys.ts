import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  type AssertionKeySets,
  type AssertionKeys,
  generateAssertionKeys,
  parseAssertionKeys,
  publicKeys,
  rotationOf,
} from '@mnemosyne/platform'
import type { Command } from 'commander'
import { CommandError, EXIT, Output } from '../output.ts'

interface AssertionKeysOptions {
  kid: string
  rotate?: boolean
  keysFile?: string
  json?: boolean
}

export function assertionKeysCommand(program: Command): void {
  program
    .command('assertion-keys')
    .description('make a pair of key sets for ASSERTION_KEYS of services that run apart')
    .option('--kid <kid>', 'name of the key', new Date().toISOString().slice(0, 10))
    .option('--rotate', 'the sets with which a new key takes the place of the one that signs, step by step')
    .option('--keys-file <file>', 'with --rotate: the set that signs now (else ASSERTION_KEYS)')
    .option('--json', 'one JSON document on stdout')
    .action(async (options: AssertionKeysOptions) => {
      const next = await generateAssertionKeys(options.kid)
      const output = new Output(options)
      if (!options.rotate) {
        const sets = { sign: next, verify: publicKeys(next) }
        output.result(sets, linesOf(sets))
        return
      }
      const steps = rotationOf(await currentKeys(options), next)
      output.result(
        { steps },
        steps.flatMap((sets, index) => [`# ${STEPS[index]}`, ...linesOf(sets), '']),
      )
    })
}

const STEPS = [
  'Step 1: everybody knows the new key. Restart every process with these.',
  'Step 2, when all of step 1 serve: the new key signs. Restart gateway and mcp with these.',
  'Step 3, when all of step 2 serve: the old key goes. Restart every process with these.',
]

const linesOf = ({ sign, verify }: AssertionKeySets) => [
  '# gateway and mcp, which sign. Keep it secret.',
  `ASSERTION_KEYS='${JSON.stringify(sign)}'`,
  '# auth, library, ingest and search, which verify.',
  `ASSERTION_KEYS='${JSON.stringify(verify)}'`,
]

async function currentKeys({ keysFile, kid }: AssertionKeysOptions): Promise<AssertionKeys> {
  const text = keysFile === undefined ? process.env.ASSERTION_KEYS : await textOf(keysFile)
  if (!text) {
    throw new CommandError(
      'Which key signs now? Give the set of gateway and mcp in ASSERTION_KEYS, or in a file with --keys-file.',
      EXIT.usage,
    )
  }
  const current = parseAssertionKeys(text)
  if (!current.keys.some(({ d }) => d !== undefined)) {
    throw new CommandError(
      'This set only verifies. Give the one of gateway and mcp, which holds the private key.',
      EXIT.usage,
    )
  }
  if (current.keys.some((key) => key.kid === kid)) {
    throw new CommandError(`There is a key named ${kid} already. Name the new one with --kid.`, EXIT.usage)
  }
  return current
}

function textOf(keysFile: string): Promise<string> {
  const path = resolve(process.env.INIT_CWD ?? process.cwd(), keysFile)
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new CommandError(`The keys in ${path} cannot be read.`, EXIT.usage, { cause })
  })
}
