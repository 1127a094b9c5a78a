import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@mnemosyne/platform'
import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel'
import { EmbeddingError } from '../port.ts'
import { EndpointBusy, EndpointUnavailable } from './errors.ts'

export interface PatienceOptions {
  /** Tries of one request, the first included. */
  attempts: number
  /** Milliseconds of the first wait at most; doubles. */
  firstRetryMs: number
  /** Requests that fail one after another until the endpoint is left alone. */
  breakAfter: number
  /** Milliseconds for which it is left alone; then one request tries it. */
  breakMs: number
}

const LONGEST_WAIT_MS = 8_000
/** Longer than this no caller waits inside of a call, however politely it was asked to. */
const LONGEST_POLITE_WAIT_MS = 30_000

/**
 * Tries requests again after passing faults, and leaves an endpoint alone that is down.
 *
 * A busy endpoint (429) is alive: it is tried again, and does not count towards the break. What timed out is not sent
 * again here, since an endpoint that is too slow gets no faster by it. A break needs no restart: after `breakMs` the
 * next request is the probe, which ends the break or begins it anew; until then all others are refused.
 */
export class Patience {
  readonly #options: PatienceOptions
  readonly #breaker
  readonly #retried: (reason: string) => void

  constructor(
    options: PatienceOptions,
    log: Logger,
    on: { retry: (reason: string) => void; broken: (broken: boolean) => void },
  ) {
    this.#options = options
    this.#retried = on.retry
    const isFault = (error: unknown): boolean =>
      error instanceof EndpointUnavailable ||
      // A probe that its caller gave up has not shown that the endpoint is back.
      (this.#breaker.state === CircuitState.HalfOpen && !(error instanceof EmbeddingError))
    this.#breaker = circuitBreaker(handleWhen(isFault), {
      halfOpenAfter: options.breakMs,
      breaker: new ConsecutiveBreaker(options.breakAfter),
    })
    this.#breaker.onBreak(() => {
      on.broken(true)
      log.error({ forMs: options.breakMs }, 'embedding endpoint is left alone after repeated failures')
    })
    this.#breaker.onReset(() => {
      on.broken(false)
      log.info('embedding endpoint is back')
    })
  }

  /** The outcome of `send`, tried as often as it makes sense. Rejects with the signal's reason when that aborts. */
  async keepTrying<T>(send: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.tryOnce(send)
      } catch (error) {
        const wait = attempt < this.#options.attempts ? this.#waitAfter(error, attempt) : undefined
        if (wait === undefined) throw error
        this.#retried((error as EmbeddingError).code)
        await delay(wait, undefined, { signal }).catch(() => signal.throwIfAborted())
      }
    }
  }

  /** The outcome of `send`; `EndpointUnavailable` without sending while the endpoint is left alone. */
  async tryOnce<T>(send: () => Promise<T>): Promise<T> {
    // The breaker would let others wait for the probe, which may take as long as a request may.
    if (this.#breaker.state === CircuitState.HalfOpen) throw this.#leftAlone()
    try {
      return await this.#breaker.execute(send)
    } catch (error) {
      throw error instanceof BrokenCircuitError ? this.#leftAlone() : error
    }
  }

  #leftAlone(): EndpointUnavailable {
    const { breakAfter, breakMs } = this.#options
    const { lastFailure } = this.#breaker
    return new EndpointUnavailable(
      `The embedding endpoint failed ${breakAfter} times running and is left alone for up to ` +
        `${Math.ceil(breakMs / 1000)} s. Try again later.`,
      { sendAgain: false, cause: lastFailure && 'error' in lastFailure ? lastFailure.error : undefined },
    )
  }

  /** Milliseconds, or undefined for what is not sent again. Full jitter: AWS, "Exponential Backoff And Jitter". */
  #waitAfter(error: unknown, attempt: number): number | undefined {
    const jittered =
      Math.random() * Math.min(this.#options.firstRetryMs * 2 ** (attempt - 1), LONGEST_WAIT_MS)
    if (error instanceof EndpointBusy) {
      const asked = error.retryAfterMs ?? 0
      return asked > LONGEST_POLITE_WAIT_MS ? undefined : asked + jittered
    }
    return error instanceof EndpointUnavailable && error.sendAgain ? jittered : undefined
  }
}
