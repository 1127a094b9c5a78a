/**
 * An expected refusal, worded for the person who caused it. `code` is stable; what it means in HTTP is the
 * business of each service's table.
 */
export class DomainError extends Error {
  readonly code: string
  /** After how many seconds it is worth trying again, where that is known: the `Retry-After` of the answer. */
  readonly retryAfterSeconds: number | undefined

  constructor(code: string, message: string, options?: ErrorOptions & { retryAfterSeconds?: number }) {
    super(message, options)
    this.name = 'DomainError'
    this.code = code
    this.retryAfterSeconds = options?.retryAfterSeconds
  }
}

/** A refusal of one field of the input. */
export class FieldError extends DomainError {
  readonly field: string

  constructor(field: string, message: string, options?: ErrorOptions) {
    super('INVALID_FIELD', message, options)
    this.name = 'FieldError'
    this.field = field
  }
}
