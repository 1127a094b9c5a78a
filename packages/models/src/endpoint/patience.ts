import { setTimeout as delay } from 'node:timers/promises'
import type { Logger, Metrics } from '@mnemosyne/platform'
import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel'
import { ModelError } from '../model-error.ts'
import { EndpointBusy, EndpointUnavailable } from './errors.ts'
import type { EndpointKind } from './kind.ts'

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
  readonly #kind: EndpointKind
  readonly #options: PatienceOptions
  readonly #breaker
  readonly #retried: (reason: string) => void

  constructor(
    kind: EndpointKind,
    given: Partial<PatienceOptions>,
    { log, metrics }: { log: Logger; metrics: Metrics },
  ) {
    const { attempts = 4, firstRetryMs = 500, breakAfter = 5, breakMs = 10_000 } = given
    const options = { attempts, firstRetryMs, breakAfter, breakMs }
    this.#kind = kind
    this.#options = options
    const retries = metrics.counter(
      `${kind.metrics}_retries_total`,
      `Requests to the ${kind.name} that were sent again`,
      ['reason'],
    )
    this.#retried = (reason) => retries({ reason })
    const broken = metrics.gauge(
      `${kind.metrics}_endpoint_left_alone`,
      `1 while the ${kind.name} is left alone after repeated failures`,
    )
    broken(0)
    const isFault = (error: unknown): boolean =>
      error instanceof EndpointUnavailable ||
      // A probe that its caller gave up has not shown that the endpoint is back.
      (this.#breaker.state === CircuitState.HalfOpen && !(error instanceof ModelError))
    this.#breaker = circuitBreaker(handleWhen(isFault), {
      halfOpenAfter: options.breakMs,
      breaker: new ConsecutiveBreaker(options.breakAfter),
    })
    this.#breaker.onBreak(() => {
      broken(1)
      log.error({ forMs: options.breakMs }, `the ${kind.name} is left alone after repeated failures`)
    })
    this.#breaker.onReset(() => {
      broken(0)
      log.info(`the ${kind.name} is back`)
    })
  }

  /**
   * The outcome of `send`, tried as often as it makes sense. Rejects with the signal's reason when that aborts. Nothing
   * is waited for that would come after `deadline`, a time of `performance.now()`.
   */
  async keepTrying<T>(
    send: () => Promise<T>,
    signal: AbortSignal,
    deadline = Number.POSITIVE_INFINITY,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.tryOnce(send)
      } catch (error) {
        const wait = attempt < this.#options.attempts ? this.#waitAfter(error, attempt) : undefined
        if (wait === undefined || performance.now() + wait >= deadline) throw error
        this.#retried((error as ModelError).code)
        await delay(wait, undefined, { signal }).catch(() => signal.throwIfAborted())
      }
    }
  }

  /** Why the endpoint is asked nothing, or only by a probe; undefined while it is in order. */
  get fault(): EndpointUnavailable | undefined {
    return this.#breaker.state === CircuitState.Closed ? undefined : this.#leftAlone()
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
      `The ${this.#kind.name} failed ${breakAfter} times running and is left alone for up to ` +
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
