/** The child processes cannot be started or the processor is closed: not the file's fault, try again. */
export class ProcessorUnavailableError extends Error {
  readonly code = 'processor_unavailable'

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProcessorUnavailableError'
  }
}

/** A fault in this program, found while a file was processed; its message holds no text of the file's. */
export class ProcessingFaultError extends Error {
  readonly code = 'processing_fault'

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProcessingFaultError'
  }
}
