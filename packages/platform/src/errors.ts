/**
 * An expected refusal, worded for the person who caused it. `code` is stable; what it means in HTTP is the
 * business of each service's table.
 */
export class DomainError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DomainError'
    this.code = code
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
