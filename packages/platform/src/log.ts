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

/** A log file that is put aside as `<file>.1` at opening when it has grown over `maxBytes`. */
export function openLogFile(file: string, maxBytes = 20_000_000): DestinationStream {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > maxBytes) renameSync(file, `${file}.1`)
  return pino.destination({ dest: file, sync: true, mode: 0o600 })
}
