import { setTimeout as pause } from 'node:timers/promises'
import { say } from './bench.ts'
import { type Answered, HttpSearch, type SearchServer } from './http-search.ts'
import type { Place } from './search-stages.ts'

const CALLERS = [1, 4, 16]
const REPEATED_QUESTIONS = 50
const REFUSED_FOR_MS = 1_000

/** What several callers saw together. */
interface AtOnce {
  callers: number
  /** Whole answers a second. */
  rate: number
  /** Milliseconds of each whole answer. */
  times: number[]
  requests: number
  /** Answered 503: the server had too much to do, and said so. */
  refused: number
  /** Answered without one of its parts, or with another status. */
  otherwise: number
  /** Milliseconds of processor time that a request cost the callers, who share the machine. */
  callersCpu: number
}

/** Of one kind of query at one number of callers. */
export interface Cell extends AtOnce {
  who: 'product' | 'peer'
  fresh: boolean
}

/** New queries and repeated ones, for so long each, at every number of callers; product and peer in turns. */
export async function measureAtOnce({ product, peer, question }: Place, forMs: number): Promise<Cell[]> {
  const servers: { who: Cell['who']; server: SearchServer }[] = [{ who: 'product', server: product }]
  if (peer) servers.push({ who: 'peer', server: peer.server })
  const cells: Cell[] = []
  for (const callers of CALLERS) {
    say(`${callers} at once`)
    for (const { who, server } of servers) {
      cells.push({ who, fresh: true, ...(await askAtOnce(server, callers, forMs, question)) })
      const known = await askedBefore(server, question)
      cells.push({ who, fresh: false, ...(await askAtOnce(server, callers, forMs, known)) })
    }
  }
  return cells
}

/** Questions whose vector the server knows, over and over. */
async function askedBefore(server: SearchServer, question: () => string): Promise<() => string> {
  using http = new HttpSearch(server)
  const questions = Array.from({ length: REPEATED_QUESTIONS }, question)
  for (const one of questions) await http.search(one)
  let next = 0
  return () => questions[next++ % questions.length]!
}

/**
 * Each caller asks the next question when the last is answered, for so many milliseconds. One that is refused comes again
 * when the server told it to, as a client should.
 */
async function askAtOnce(
  server: SearchServer,
  callers: number,
  forMs: number,
  question: () => string,
): Promise<AtOnce> {
  using http = new HttpSearch(server)
  const found: AtOnce = { callers, rate: 0, times: [], requests: 0, refused: 0, otherwise: 0, callersCpu: 0 }
  const cpuBefore = process.cpuUsage()
  const started = performance.now()
  const caller = async () => {
    while (performance.now() - started < forMs) {
      const answer = await http.search(question())
      found.requests++
      if (answer.status === 503) {
        found.refused++
        const left = forMs - (performance.now() - started)
        await pause(Math.max(0, Math.min(left, answer.retryAfter ?? REFUSED_FOR_MS)))
      } else if (isWhole(answer)) found.times.push(answer.ms)
      else found.otherwise++
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const { user, system } = process.cpuUsage(cpuBefore)
  found.rate = found.times.length / ((performance.now() - started) / 1000)
  found.callersCpu = (user + system) / 1000 / found.requests
  return found
}

/** Not parsed: that would cost the processors that are measured. */
function isWhole({ status, text }: Answered): boolean {
  return status === 200 && !/"degraded":\[[^\]]/.test(text)
}
