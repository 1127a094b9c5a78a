import { CallError } from '@mnemosyne/contracts'
import { currentRequest } from '@mnemosyne/platform'
import { z } from 'zod'

/** How a call ended, as the metrics have it. */
export type Outcome = 'ok' | 'forbidden' | 'invalid' | 'not_found' | 'unavailable' | 'cancelled' | 'error'

export class ToolForbidden extends Error {
  readonly code = 'TOOL_FORBIDDEN'

  constructor(name: string, allowed: string[]) {
    super(`This token may not use the tool ${name}. It may use: ${allowed.join(', ')}.`)
    this.name = 'ToolForbidden'
  }
}

/** What a failure is, and what a model may read of it: never more than the caller could cause or mend. */
export function toolError(error: unknown, signal: AbortSignal): { outcome: Outcome; text: string } {
  if (signal.aborted) return { outcome: 'cancelled', text: 'The call was cancelled.' }
  if (error instanceof ToolForbidden) return { outcome: 'forbidden', text: error.message }
  if (error instanceof z.ZodError) return { outcome: 'invalid', text: invalidText(error) }
  if (error instanceof CallError) {
    if (error.status === 400) {
      return {
        outcome: 'invalid',
        text: `A parameter is not right. ${error.message} Correct it and call again.`,
      }
    }
    if (error.status === 404) return { outcome: 'not_found', text: notFoundText(error.message) }
    if (error.status === 429 || error.status === 503) {
      return {
        outcome: 'unavailable',
        text: `${error.message} Nothing is wrong with the question: try again in a moment, and call get_health if it stays so.`,
      }
    }
  }
  const { request_id } = currentRequest()
  return {
    outcome: 'error',
    text: `Something went wrong in the knowledge base${request_id ? ` (request id ${request_id})` : ''}. Trying again once is reasonable; if it fails again, say so to the person you work for.`,
  }
}

function invalidText(error: z.ZodError): string {
  const faults = error.issues.map(({ path, message }) => `${path.join('.') || 'arguments'}: ${message}`)
  return `A parameter is not right. ${faults.join('; ')}. Correct it and call again.`
}

function notFoundText(detail: string): string {
  return `${detail} Check the uid: list_libraries and list_items give those of libraries and items, search gives those of chunks. What does not exist and what this connection may not read look alike.`
}
