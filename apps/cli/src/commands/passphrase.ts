import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { CommandError, EXIT } from '../output.ts'

export interface PassphraseOptions {
  passphraseFile?: string
}

export const PASSPHRASE_HELP = 'holds the passphrase that seals secrets (MNEMOSYNE_BACKUP_PASSPHRASE)'

/** Characters. Whoever has the backup can try as many as they like. */
const SHORTEST = 12

/** From the file, else from the environment; undefined when neither is given. Throws `CommandError`. */
export async function readPassphrase({ passphraseFile }: PassphraseOptions): Promise<string | undefined> {
  if (passphraseFile === undefined) return process.env.MNEMOSYNE_BACKUP_PASSPHRASE || undefined
  const path = resolve(process.env.INIT_CWD ?? process.cwd(), passphraseFile)
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new CommandError(`The passphrase in ${path} cannot be read.`, EXIT.usage, { cause })
  })
  const passphrase = text.replace(/\r?\n$/, '')
  if (passphrase === '') throw new CommandError(`There is no passphrase in ${path}.`, EXIT.usage)
  return passphrase
}

/** One that is good enough to seal with. */
export async function readNewPassphrase(options: PassphraseOptions): Promise<string | undefined> {
  const passphrase = await readPassphrase(options)
  if (passphrase === undefined || passphrase.length >= SHORTEST) return passphrase
  throw new CommandError(`A passphrase for a backup has at least ${SHORTEST} characters.`, EXIT.usage)
}
