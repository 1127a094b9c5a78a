import { LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX } from '@mnemosyne/contracts'
import { z } from 'zod'

/** Parameters of a list tool. A larger limit is clamped, as on REST. */
export const paging = {
  limit: z
    .number()
    .int()
    .min(1)
    .default(LIST_LIMIT_DEFAULT)
    .describe(`How many at most; more than ${LIST_LIMIT_MAX} counts as ${LIST_LIMIT_MAX}.`),
  offset: z.number().int().min(0).default(0).describe('How many to skip: for the next page, offset + limit.'),
}

/** What a list answers beside its elements. */
export const paged = {
  limit: z.number().int(),
  offset: z.number().int(),
  total: z.number().int().describe('How many there are in all.'),
}

export function clamped(limit: number): number {
  return Math.min(limit, LIST_LIMIT_MAX)
}

/** One line that tells a model whether to ask for more. */
export function pageLine(what: string, shown: number, offset: number, total: number): string {
  if (shown === 0)
    return total === 0 ? `There are no ${what}.` : `No ${what} at offset ${offset}; there are ${total}.`
  const rest = total - offset - shown
  return `${what} ${offset + 1} to ${offset + shown} of ${total}${rest > 0 ? `; go on with offset ${offset + shown}` : ''}.`
}
