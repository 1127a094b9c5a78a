import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { z } from 'zod'
import type { Logger } from '../log.ts'
import { type DeadLetter, DeadLetterNotFound } from './port.ts'

const LIMIT = 1_000

const lettersSchema = z.array(
  z.object({
    id: z.string(),
    queue: z.string(),
    message: z.object({
      kind: z.enum(['event', 'command']),
      destination: z.string(),
      id: z.string(),
      body: z.unknown(),
      headers: z.record(z.string(), z.string()),
    }),
    reason: z.string(),
    attempts: z.number(),
    diedAt: z.string(),
  }),
)

/**
 * The dead letters of the in-process bus, at most 1,000 (then the oldest goes, with an error in the log).
 * With a path they are written out whole at each change, which is rare, and synchronously: when an event's
 * `publish` resolves because it is dead-lettered, it is on the disk.
 */
export class DeadLetterFile {
  readonly #path: string | undefined
  readonly #log: Logger
  readonly #counted: (letters: number) => void
  #letters: DeadLetter[]

  /** `counted` is told how many there are, now and after each change. */
  constructor(path: string | undefined, log: Logger, counted: (letters: number) => void) {
    this.#path = path
    this.#log = log
    this.#counted = counted
    this.#letters = path ? read(path) : []
    counted(this.#letters.length)
  }

  count(): number {
    return this.#letters.length
  }

  list(limit: number): DeadLetter[] {
    return structuredClone(this.#letters.slice(0, limit))
  }

  add(letter: DeadLetter): void {
    const lost = this.#letters.length >= LIMIT ? this.#letters.shift() : undefined
    if (lost) this.#log.error({ dead_letter: lost.id, reason: lost.reason }, 'dead letter lost: too many')
    this.#letters.push(letter)
    this.#write()
  }

  /** All with this id: one message may have died twice. Throws `DeadLetterNotFound` when there is none. */
  find(id: string): DeadLetter[] {
    const found = this.#letters.filter((letter) => letter.id === id)
    if (found.length === 0) throw new DeadLetterNotFound(`there is no dead letter ${id}`)
    return found
  }

  take(id: string): void {
    this.find(id)
    this.#letters = this.#letters.filter((letter) => letter.id !== id)
    this.#write()
  }

  #write(): void {
    this.#counted(this.#letters.length)
    if (!this.#path) return
    const file = openSync(`${this.#path}.new`, 'w', 0o600)
    try {
      writeSync(file, JSON.stringify(this.#letters))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(`${this.#path}.new`, this.#path)
  }
}

function read(path: string): DeadLetter[] {
  try {
    return lettersSchema.parse(JSON.parse(readFileSync(path, 'utf8'))) as DeadLetter[]
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return []
    throw new Error(`the dead letters in ${path} can't be read; mend the file or move it away`, { cause })
  }
}
