import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SystemClient } from '../../test/system/client.ts'
import { say } from '../bench.ts'
import { startSystem } from '../system.ts'

/** A running system, and what was taken into its store. */
export interface Filled<T> extends AsyncDisposable {
  system: SystemClient
  taken: T
}

/** Takes documents in; what it tells of them has to survive JSON. */
export type Fill<T> = (system: SystemClient) => Promise<T>

/** Starts a system on empty stores, and leaves to `closing` what has to end with it. */
export type Start = (closing: AsyncDisposableStack) => Promise<SystemClient>

/** Filled for this run alone. */
export async function filled<T>(start: Start, fill: Fill<T>): Promise<Filled<T>> {
  await using closing = new AsyncDisposableStack()
  const system = await start(closing)
  const taken = await fill(system)
  const running = closing.move()
  return { system, taken, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

/** The product in one process on a temporary data folder. */
export async function startTemporary(closing: AsyncDisposableStack): Promise<SystemClient> {
  const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-quality-'))
  closing.defer(() => rm(folder, { recursive: true, force: true }))
  return closing.use(await startSystem(join(folder, 'data')))
}

/** Beside a data folder: whose it is, and what is in it. */
interface Note<T> {
  contents: string
  /** Null: the filling has not come to its end. */
  filled: { token: string; taken: T } | null
}

/**
 * The product in one process on a data folder that stays: a later run that asks for the same contents finds it filled. Once
 * documents are cut or embedded in another way the folder is of yesterday, which nobody notices here: remove it then.
 *
 * @param contents what makes the store what it is; another value has it filled anew
 */
export async function filledAndKept<T>(folder: string, contents: unknown, fill: Fill<T>): Promise<Filled<T>> {
  const wanted = createHash('sha256').update(JSON.stringify(contents)).digest('hex')
  const [noteFile, dataDir] = [join(folder, 'taken-in.json'), join(folder, 'data')]
  const known = await readNote<T>(folder, noteFile)
  if (known?.contents === wanted && known.filled) {
    const { token, taken } = known.filled
    say(`${folder}: found filled`)
    const system = await startSystem(dataDir, token)
    return { system, taken, [Symbol.asyncDispose]: () => system[Symbol.asyncDispose]() }
  }
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const write = (note: Note<T>) => writeFile(noteFile, `${JSON.stringify(note)}\n`, { mode: 0o600 })
  await write({ contents: wanted, filled: null })
  return filled(
    async (closing) => closing.use(await startSystem(dataDir)),
    async (system) => {
      const taken = await fill(system)
      await write({ contents: wanted, filled: { token: system.token, taken } })
      return taken
    },
  )
}

/** Null: nothing is there. What another made is nothing to remove. */
async function readNote<T>(folder: string, file: string): Promise<Note<T> | null> {
  if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8'))
  if (existsSync(folder)) throw new Error(`${folder} is there, and was not made by this benchmark.`)
  return null
}
