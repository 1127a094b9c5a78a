import type { Logger } from '../log.ts'
import { type Handle, RetryLater, Unprocessable } from './port.ts'

const AGAIN_MS = 5_000

/**
 * A handler whose message comes back until it has been handled: only one that can't be understood becomes a dead
 * letter. For work that is promised, whatever is away meanwhile.
 */
export function untilHandled(handle: Handle, log: Logger): Handle {
  return async (message, context) => {
    try {
      await handle(message, context)
    } catch (error) {
      if (error instanceof Unprocessable || error instanceof RetryLater || context.signal.aborted) throw error
      log.warn({ err: error, message_id: message.id, destination: message.destination }, 'message put off')
      throw new RetryLater({ delayMs: AGAIN_MS, cause: error })
    }
  }
}
