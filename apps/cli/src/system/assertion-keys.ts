import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type AssertionKeys, generateAssertionKeys, parseAssertionKeys } from '@mnemosyne/platform'

/** The keys in `ASSERTION_KEYS`, or those of the data folder (mode 0600), made at the first start. */
export async function loadAssertionKeys(given: string | undefined, file: string): Promise<AssertionKeys> {
  if (given) return parseAssertionKeys(given)
  try {
    return parseAssertionKeys(await readFile(file, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const keys = await generateAssertionKeys(`embedded-${new Date().toISOString().slice(0, 10)}`)
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await writeFile(file, JSON.stringify(keys), { mode: 0o600 })
  return keys
}
