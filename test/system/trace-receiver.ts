import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export const KINDS = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'] as const

export interface ReceivedSpan {
  traceId: string
  spanId: string
  parentSpanId: string | undefined
  name: string
  kind: (typeof KINDS)[number]
  attributes: Record<string, string | number | boolean>
  failed: boolean
  /** `service.name` of the process that sent it. */
  service: string
}

interface Value {
  stringValue?: string
  intValue?: string | number
  doubleValue?: number
  boolValue?: boolean
}
type Attributes = { key: string; value: Value }[]

interface TraceExport {
  resourceSpans: {
    resource: { attributes: Attributes }
    scopeSpans: {
      spans: {
        traceId: string
        spanId: string
        parentSpanId?: string
        name: string
        kind: number
        attributes: Attributes
        status: { code?: number }
      }[]
    }[]
  }[]
}

/** What a collector of OpenTelemetry's would be sent, by OTLP over HTTP in JSON. */
export class TraceReceiver implements AsyncDisposable {
  readonly url: string
  readonly #bodies: string[]
  readonly #close: () => void

  private constructor(url: string, bodies: string[], close: () => void) {
    this.url = url
    this.#bodies = bodies
    this.#close = close
  }

  static async start(): Promise<TraceReceiver> {
    const bodies: string[] = []
    const server = createServer(async (request, reply) => {
      bodies.push(await text(request))
      reply.setHeader('content-type', 'application/json').end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    return new TraceReceiver(`http://127.0.0.1:${port}`, bodies, () => server.close())
  }

  /** Everything as it came. */
  get raw(): string {
    return this.#bodies.join('\n')
  }

  get resources(): Record<string, unknown>[] {
    return this.#exports().map(({ resource }) => plain(resource.attributes))
  }

  get spans(): ReceivedSpan[] {
    return this.#exports().flatMap(({ resource, scopeSpans }) => {
      const service = String(plain(resource.attributes)['service.name'])
      return scopeSpans
        .flatMap(({ spans }) => spans)
        .map(({ traceId, spanId, parentSpanId, name, kind, attributes, status }) => ({
          ...{ traceId, spanId, name, service },
          parentSpanId: parentSpanId || undefined,
          kind: KINDS[kind] ?? 'UNSPECIFIED',
          attributes: plain(attributes),
          failed: status.code === 2,
        }))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
  }

  #exports() {
    return this.#bodies.flatMap((body) => (JSON.parse(body) as TraceExport).resourceSpans)
  }
}

function plain(attributes: Attributes): Record<string, string | number | boolean> {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, intValue, doubleValue, boolValue } }) => [
      key,
      stringValue ??
        (intValue === undefined ? undefined : Number(intValue)) ??
        doubleValue ??
        boolValue ??
        '',
    ]),
  )
}
