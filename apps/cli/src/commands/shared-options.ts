import type { Command } from 'commander'

export interface GlobalOptions {
  dataDir?: string
  json?: boolean
  url?: string
  token?: string
}

/** The options of every command. */
export function withGlobals(command: Command): Command {
  return command
    .option('--data-dir <dir>', 'the data folder (MNEMOSYNE_DATA_DIR, else ./data)')
    .option('--json', 'print exactly one JSON document')
}

/** The options of commands that talk to a running system. */
export function withSystem(command: Command): Command {
  return withGlobals(command)
    .option('--url <url>', 'a running system (MNEMOSYNE_URL); without it the one of the data folder')
    .option('--token <token>', 'its token (MNEMOSYNE_TOKEN)')
}
