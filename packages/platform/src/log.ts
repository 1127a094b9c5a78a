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
