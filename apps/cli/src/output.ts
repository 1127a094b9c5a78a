import { CallError } from '@mnemosyne/contracts'
import { DomainError } from '@mnemosyne/platform'
import { CommanderError } from 'commander'
import { z } from 'zod'

/** What the process ends with. */
export const EXIT = {
  ok: 0,
  /** What was asked for was refused, or did not succeed. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The system can't be reached or can't start. */
  unavailable: 3,
  interrupted: 130,
} as const

/** A failure with the exit code that it means. */
export class CommandError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.failed, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
    this.exitCode = exitCode
  }
}

/** Where a command's words go: people read lines, scripts (`--json`) one JSON document on stdout. */
export class Output {
  readonly json: boolean

  constructor(options: { json?: boolean }) {
    this.json = options.json ?? false
  }

  /** A line for people; nothing with `--json`. */
  say(line = ''): void {
    if (!this.json) process.stdout.write(`${line}\n`)
  }

  /** The answer of the command: once, last. */
  result(document: unknown, lines: string[] = []): void {
    if (this.json) process.stdout.write(`${JSON.stringify(document)}\n`)
    else for (const line of lines) process.stdout.write(`${line}\n`)
  }
}

/** Says on stderr (or with `--json` as the document) why a command failed, and returns its exit code. */
export function reportFailure(error: unknown, json: boolean): number {
  // Help and the version come as errors, too.
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok
  const { message, exitCode, code } = explain(error)
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, detail: message } })}\n`)
  // The parser of the command line has told people already.
  else if (!(error instanceof CommanderError)) process.stderr.write(`${message}\n`)
  return exitCode
}

const CODES: Record<number, string> = { [EXIT.usage]: 'USAGE', [EXIT.unavailable]: 'UNAVAILABLE' }

function explain(error: unknown): { message: string; exitCode: number; code: string } {
  if (error instanceof CommanderError) {
    const message =
      error.code === 'commander.help' ? 'Name a command.' : error.message.replace(/^error: /, '')
    return { message, exitCode: EXIT.usage, code: 'USAGE' }
  }
  if (error instanceof CommandError)
    return { message: error.message, exitCode: error.exitCode, code: CODES[error.exitCode] ?? 'FAILED' }
  if (error instanceof CallError) {
    const exitCode = error.status >= 500 ? EXIT.unavailable : EXIT.failed
    return { message: error.message, exitCode, code: `HTTP_${error.status}` }
  }
  if (error instanceof z.ZodError) {
    const message = error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
    return { message, exitCode: EXIT.usage, code: 'USAGE' }
  }
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'INTERNAL'
  const message = error instanceof Error ? error.message : String(error)
  const cannotStart =
    ['PORT_IN_USE', 'CONFIG_INVALID'].includes(code) ||
    /^(DATA_FOLDER|SQL_|newer_schema|graph_|bus_|invalid_broker)/.test(code)
  if (cannotStart) return { message, exitCode: EXIT.unavailable, code }
  if (error instanceof DomainError) return { message, exitCode: EXIT.failed, code }
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : ''
  return { message: `${message}${cause}`, exitCode: EXIT.unavailable, code }
}
