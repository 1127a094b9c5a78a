import { mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'
import { currentRequest, currentTrace } from './telemetry.ts'

export type { Logger } from 'pino'

export interface LogOptions {
  /** Name of the service; stands on every line. */
  component: string
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  destination?: DestinationStream
}

const SECRETS = ['authorization', 'token', 'password', 'secret', 'bearer', 'plaintext', 'jwt', 'cookie']

/**
 * JSON lines with `component`, and inside a request or span `request_id` and `trace_id`.
 * Keys that may hold a secret are cut out at the top level and one level down.
 */
export function createLog({ component, level, destination }: LogOptions): Logger {
  return pino(
    {
      level,
      base: { component },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: () => ({ ...currentRequest(), ...currentTrace() }),
      redact: { paths: SECRETS.flatMap((key) => [key, `*.${key}`]), remove: true },
    },
    destination ?? pino.destination({ dest: 1, sync: true }),
  )
}

/** What waits in memory while the disk takes no lines; beyond it they are dropped. */
const MAX_WAITING_BYTES = 1_048_576

/**
 * A log file that is put aside as `<file>.1` whenever it has grown over `maxBytes`. A full disk stops
 * nobody who logs: that is said once on stderr, and the lines are written when there is space again.
 */
export function openLogFile(file: string, maxBytes = 20_000_000): DestinationStream {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const sizeOf = () => statSync(file, { throwIfNoEntry: false })?.size ?? 0
  let size = sizeOf()
  const putAside = () => {
    renameSync(file, `${file}.1`)
    size = 0
  }
  if (size > maxBytes) putAside()
  const destination = pino.destination({
    dest: file,
    sync: true,
    mode: 0o600,
    maxLength: MAX_WAITING_BYTES,
  })
  let told = false
  // Without a listener the error would be thrown at whoever logs.
  destination.on('error', (error: Error) => {
    if (!told) process.stderr.write(`The log ${file} cannot be written: ${error.message}\n`)
    told = true
  })
  destination.on('write', (bytes: number) => {
    told = false
    size += bytes
    if (size <= maxBytes) return
    putAside()
    destination.reopen()
  })
  return destination
}
