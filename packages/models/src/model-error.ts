/** A call of a model that failed. `code` is stable; `retryable` tells "try again" from "never will work". */
export class ModelError extends Error {
  override readonly name: string = 'ModelError'
  readonly code: string = 'model_failed'
  readonly retryable: boolean = false
}
