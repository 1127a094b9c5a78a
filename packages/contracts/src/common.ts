import { z } from 'zod'

/** A uid: lower-case, uuid-shaped. Versions are not told apart. */
export const Uid = z
  .string()
  .regex(
    /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
    'Must be a uid (lower-case, 8-4-4-4-12 hexadecimal digits).',
  )

export const IsoTime = z.iso.datetime()

/** Text that every store gives back as it was: PostgreSQL refuses NUL, and UTF-8 has no half surrogate pairs. */
const storable = (text: z.ZodString) =>
  text
    .refine((value) => !value.includes('\0'), 'May not contain NUL characters.')
    .refine((value) => value.isWellFormed(), 'Must be well-formed Unicode.')

/** A blank name helps nobody. */
export const Name = (max: number) => storable(z.string().trim().min(1, 'May not be blank.').max(max))

export const FreeText = (max: number) => storable(z.string().max(max))

export const LIST_LIMIT_DEFAULT = 50
export const LIST_LIMIT_MAX = 200

/** `limit` and `offset` of every list. A larger limit is clamped, not refused. */
export const Page = z.object({
  limit: z.coerce
    .number()
    .min(1)
    .transform((limit) => Math.min(limit, LIST_LIMIT_MAX))
    .pipe(z.int())
    .default(LIST_LIMIT_DEFAULT),
  offset: z.coerce
    .number()
    .min(0)
    .transform((offset) => Math.min(offset, Number.MAX_SAFE_INTEGER))
    .pipe(z.int())
    .default(0),
})

/** A list's answer: the array, and the total in `X-Total-Count`. */
export const listOf = <T extends z.ZodType>(element: T) =>
  z.object({ headers: z.object({ 'x-total-count': z.string() }), body: z.array(element) })

/** The answer of one list operation. `total` counts what the caller may see, on every page. */
export function listAnswer<T>(body: T[], total: number): { headers: { 'x-total-count': string }; body: T[] } {
  return { headers: { 'x-total-count': String(total) }, body }
}
