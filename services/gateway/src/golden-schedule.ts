import {
  createClient,
  DELEGATION_HEADER,
  type FetchHandler,
  goldenQueriesInternalContract,
  PRINCIPAL_HEADER,
  type Principal,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { type Clock, type Logger, outsideTrace, type Signer, traceHeaders } from '@mnemosyne/platform'
import { createAssert } from './assertions.ts'

/** How often it is looked for a library whose golden queries are due. */
const LOOK_MS = 300_000

export interface GoldenScheduleOptions {
  /** 0: never. */
  everyHours: number
  library: FetchHandler
  sign: Signer
  clock: Clock
  log: Logger
  /** Default: five minutes. */
  lookMs?: number
}

/**
 * Has the golden queries of every library replayed every so many hours. The library service knows which are due, and
 * gives each to one gateway; it is the gateway that has to ask, because nobody else can sign for the searches: as a
 * service that may read that one library, and nothing else.
 */
export function startGoldenSchedule(options: GoldenScheduleOptions): AsyncDisposable {
  const { everyHours, log, lookMs = LOOK_MS } = options
  const stopped = new AbortController()
  const { signal } = stopped
  const asService = createClientFor(options)
  let round = Promise.resolve()
  let busy = false

  /** One library after the other, until none is due. What fails is due again in a quarter of an hour. */
  async function replayDue(): Promise<void> {
    while (!signal.aborted) {
      const claimed = await asService([]).claim({ every_hours: everyHours }, { signal })
      if (!claimed) return
      const { library_uid } = claimed
      let remaining: number
      do ({ remaining } = await asService([library_uid]).replay({ library_uid }, { signal }))
      while (remaining > 0)
      log.info({ library_uid }, 'golden queries replayed')
    }
  }
  const look = () => {
    if (busy) return
    busy = true
    round = outsideTrace(replayDue)
      .catch((err: unknown) => {
        if (!signal.aborted) log.warn({ err }, 'golden queries are replayed later')
      })
      .finally(() => {
        busy = false
      })
  }
  const timer = everyHours > 0 ? setInterval(look, lookMs).unref() : undefined
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      stopped.abort()
      await round
    },
  }
}

function createClientFor({ library, sign, clock }: GoldenScheduleOptions) {
  const assert = createAssert(sign, clock)
  return (resolved_libraries: string[]) => {
    const principal: Principal = { ...servicePrincipal('rest'), resolved_libraries }
    return createClient(goldenQueriesInternalContract, {
      fetch: async (request) => {
        const own = await assert(principal, 'library')
        request.headers.set(PRINCIPAL_HEADER, own.principal)
        request.headers.set(DELEGATION_HEADER, own.delegations)
        return library(request)
      },
      headers: traceHeaders,
    })
  }
}
