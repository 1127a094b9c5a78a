import { inspect } from 'node:util'
import type { Logger } from './log.ts'

/** Signals that come closer to each other are one. */
const SAME_SIGNAL_MS = 500

const EXIT_FAILED = 1
const EXIT_INTERRUPTED = 130

export interface Stop {
  asked: Promise<void>
  signal: AbortSignal
  /** Signals end the process as they would again. */
  release: () => void
}

/**
 * Resolves at the first SIGINT or SIGTERM. A second one ends the process at once, unless it is the first over
 * again: a Ctrl-C reaches this process from the terminal and, under npm, from npm as well.
 */
export function untilStopped(): Stop {
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  const controller = new AbortController()
  let firstAt = 0
  const heard = () => {
    const now = performance.now()
    if (controller.signal.aborted) {
      if (now - firstAt > SAME_SIGNAL_MS) process.exit(EXIT_INTERRUPTED)
      return
    }
    firstAt = now
    controller.abort()
    resolve()
  }
  process.on('SIGINT', heard).on('SIGTERM', heard)
  return {
    asked,
    signal: controller.signal,
    release: () => process.off('SIGINT', heard).off('SIGTERM', heard),
  }
}

/**
 * Leaves in the log what nobody caught (a rejection comes as an exception, too), and ends the process as Node would:
 * what state it is in nobody knows, and the next start takes up what was in hand. Returns how to undo that.
 */
export function noteFatal(log: Logger): () => void {
  const fatal = (error: unknown) => {
    log.fatal({ err: error }, 'an error that nobody caught ends the process')
    process.stderr.write(`Mnemosyne ends after an error that nobody caught: ${inspect(error)}\n`)
    process.exit(EXIT_FAILED)
  }
  process.on('uncaughtException', fatal)
  return () => process.off('uncaughtException', fatal)
}
