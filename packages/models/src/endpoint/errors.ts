import { ModelError } from '../model-error.ts'

/** The endpoint did not answer, answered with a fault of its own, or is left alone after several of these. */
export class EndpointUnavailable extends ModelError {
  override readonly name = 'EndpointUnavailable'
  override readonly code = 'endpoint_unavailable'
  override readonly retryable = true
  /** Whether the client itself may send the request again at once. */
  readonly sendAgain: boolean

  constructor(message: string, { sendAgain, cause }: { sendAgain: boolean; cause?: unknown }) {
    super(message, { cause })
    this.sendAgain = sendAgain
  }
}

/** The endpoint takes no more requests for now. */
export class EndpointBusy extends ModelError {
  override readonly name = 'EndpointBusy'
  override readonly code = 'endpoint_busy'
  override readonly retryable = true
  /** How long the endpoint asks to be left alone, in milliseconds, where it says so. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, retryAfterMs: number | undefined) {
    super(message)
    this.retryAfterMs = retryAfterMs
  }
}

/**
 * Address, key, model or dimensions do not fit the endpoint. Somebody has to mend it, here or there, and after that
 * the same call succeeds: so callers may try again later, and no text is to blame.
 */
export class EndpointMisconfigured extends ModelError {
  override readonly name = 'EndpointMisconfigured'
  override readonly code = 'endpoint_misconfigured'
  override readonly retryable = true
}

/** The options of an endpoint that cannot be right, whatever answers there. */
export class InvalidEndpoint extends ModelError {
  override readonly name = 'InvalidEndpoint'
  override readonly code = 'endpoint_invalid'
}

/** The endpoint refused the texts that it was sent. */
export class EndpointRefused extends ModelError {
  override readonly name: string = 'EndpointRefused'
  override readonly code = 'endpoint_refused'
}

/** Too many texts at once, or too long a text. Whoever sends splits or shortens them; callers see it only at last. */
export class EndpointTooLarge extends EndpointRefused {
  override readonly name = 'EndpointTooLarge'
}

/** The endpoint's answer holds no usable vectors, or scores, for the texts. */
export class EndpointReplyInvalid extends ModelError {
  override readonly name = 'EndpointReplyInvalid'
  override readonly code = 'endpoint_reply_invalid'
}
