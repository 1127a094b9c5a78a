import type { ModelError } from '../model-error.ts'
import { addressHint } from './address.ts'
import {
  EndpointBusy,
  EndpointMisconfigured,
  EndpointRefused,
  EndpointTooLarge,
  EndpointUnavailable,
} from './errors.ts'
import type { EndpointKind } from './kind.ts'

export interface Answer {
  status: number
  /** `content-type` and `retry-after` are looked at. */
  headers: Record<string, string | string[] | undefined>
  body: string
}

export interface Asked {
  kind: EndpointKind
  url: URL
  model: string
  /** Everything that was sent and may not be quoted. */
  texts: readonly string[]
  apiKey: string | undefined
}

/** Servers word it differently; llama.cpp says it with a 500. */
const TOO_LARGE =
  /too (large|long|many)|(maximum|max|larger than|exceeds?) .{0,30}(context|batch|token|length|input)|context (length|size|window)|batch size|token limit|reduce (the|your) (length|input|prompt)|must have less than \d+ tokens/i

/** Some answer 400 where others answer 404. */
const NO_SUCH_MODEL =
  /(invalid|unknown|no such) model|model\b.{0,60}(not (found|exist|supported|loaded)|unknown)/i

/** The error that an answer other than 200 stands for. */
function refusalOf(answer: Answer, asked: Asked): ModelError {
  const { status } = answer
  const { kind } = asked
  const said = whatItSays(answer, asked)
  const outcome = `The ${kind.name} answered ${status}${said && ` (${said})`}.`
  if (status === 413 || ([400, 422, 500].includes(status) && TOO_LARGE.test(messageIn(answer.body)))) {
    return new EndpointTooLarge(`${outcome} It takes no text of that length.`)
  }
  if (status === 429) return new EndpointBusy(`${outcome} Try again later.`, retryAfter(answer))
  if (status === 401 || status === 403) {
    return new EndpointMisconfigured(`${outcome} Check ${kind.variables}_API_KEY.`)
  }
  if (status === 402)
    return new EndpointMisconfigured(`${outcome} Check the account that the key belongs to.`)
  if ((status === 400 || status === 422) && NO_SUCH_MODEL.test(messageIn(answer.body))) {
    return new EndpointMisconfigured(`${outcome} Check ${kind.variables}_MODEL.`)
  }
  if (status === 404 || status === 405 || status < 400) {
    const hint = addressHint(kind, asked.url)
    return new EndpointMisconfigured(
      `${outcome} There is no such address (${asked.url.href}) or no model ${asked.model}. ${hint || `Check ${kind.variables}_BASE_URL and ${kind.variables}_MODEL.`}`,
    )
  }
  if (status >= 500 || status === 408 || status === 425) {
    return new EndpointUnavailable(`${outcome} Try again later.`, { sendAgain: true })
  }
  return new EndpointRefused(outcome)
}

/** The body of an answer by an endpoint; throws what any other answer stands for. */
export function bodyOf(answer: Answer, asked: Asked): string {
  const { kind, url } = asked
  if (answer.status !== 200) throw refusalOf(answer, asked)
  if (/html/i.test(String(answer.headers['content-type'] ?? ''))) {
    throw new EndpointMisconfigured(
      `At ${url.href} a web page answers and no ${kind.name}. ${addressHint(kind, url) || `Check ${kind.variables}_BASE_URL.`}`,
    )
  }
  return answer.body
}

/** Whether a model refuses to be asked for a number of dimensions. */
export function refusesDimensions({ status, body }: Answer): boolean {
  return (status === 400 || status === 422) && /dimensions?\b|matryoshka/i.test(messageIn(body))
}

const LONGEST_MESSAGE = 200

/**
 * The endpoint's own words, for an error message: short, on one line, without the key. Left out where they quote the
 * texts that were sent, as validators do.
 */
function whatItSays({ body }: Answer, { texts, apiKey }: Asked): string {
  const whole = messageIn(body)
  const masked = apiKey ? whole.replaceAll(apiKey, '***') : whole
  // Providers quote the key in part: "Incorrect API key provided: sk-abc*****wxyz".
  const unkeyed = masked.replace(/\b(sk|pk|key|api)[-_][\w*.-]{6,}/gi, '***')
  const message = unkeyed
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, LONGEST_MESSAGE)
  return texts.some((text) => quotes(message, text)) ? '' : message.replace(/\.$/, '')
}

const QUOTATION = 16

function quotes(message: string, text: string): boolean {
  const flat = text.replace(/[\p{C}\s]+/gu, ' ').trim()
  if (flat.length <= QUOTATION) return flat.length > 3 && message.includes(flat)
  for (let at = 0; at + QUOTATION <= message.length; at++) {
    if (flat.includes(message.slice(at, at + QUOTATION))) return true
  }
  return false
}

/** `error.message`, `error`, `message` or `detail` of a JSON body; nothing of any other, for example a page. */
function messageIn(body: string): string {
  try {
    const json: unknown = JSON.parse(body)
    const found = [field(field(json, 'error'), 'message'), field(json, 'error'), field(json, 'message')]
    const text = [...found, field(json, 'detail')].find((value) => typeof value === 'string')
    return (text as string | undefined) ?? ''
  } catch {
    return ''
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

/** Milliseconds, from seconds or a date. */
function retryAfter({ headers }: Answer): number | undefined {
  const value = [headers['retry-after']].flat()[0]
  if (value === undefined) return undefined
  const seconds = Number(value)
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined
}
