import { createHash } from 'node:crypto'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client } from '@aws-sdk/client-s3'
import type { Logger } from '../log.ts'
import { type Metrics, SpanKind, span } from '../telemetry.ts'
import { BlobStoreFullError, BlobStoreRefusedError, BlobStoreUnavailableError } from './port.ts'
import type { S3Location } from './s3-config.ts'
import { explained, faultNamed, httpStatusOf, isMissingBlob } from './s3-errors.ts'

export interface S3Options extends S3Location {
  log: Logger
  metrics: Metrics
  timeouts?: S3Timeouts
}

export interface S3Timeouts {
  /** To a connection. 3,000 ms. */
  connectMs: number
  /** Without a byte in either direction while we wait for one. 10,000 ms. */
  idleMs: number
}

const TIMEOUTS: S3Timeouts = { connectMs: 3_000, idleMs: 10_000 }
/** Of one operation, the first included, with short waits in between. */
const ATTEMPTS = 3
const CONNECTIONS = { keepAlive: true, maxSockets: 50 }
const SECONDS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

interface CallOptions {
  /** Of an answer whose body is read at the reader's pace. */
  streams?: boolean
}

/** A bucket's clients, and what every operation on it has in common: span, metrics, errors of the port. */
export class S3Connection {
  readonly bucket: string
  readonly timeouts: S3Timeouts
  readonly #options: S3Options
  readonly #client: S3Client
  /** A socket whose reader pauses is idle too: here no time limit stands on sockets, but on answers and on `next`. */
  readonly #streaming: S3Client
  readonly #count: (values: Record<string, string>) => void
  readonly #observe: (seconds: number, values: Record<string, string>) => void

  constructor(options: S3Options) {
    this.#options = options
    this.bucket = options.bucket
    this.timeouts = options.timeouts ?? TIMEOUTS
    const { idleMs } = this.timeouts
    this.#client = clientOf(options, { ...this.timeouts, socketMs: idleMs, answerMs: 0 })
    this.#streaming = clientOf(options, { ...this.timeouts, socketMs: 0, answerMs: idleMs })
    const { metrics } = options
    this.#count = metrics.counter('mnemosyne_s3_operations_total', 'Operations on S3 servers', [
      'operation',
      'status',
    ])
    this.#observe = metrics.histogram(
      'mnemosyne_s3_operation_seconds',
      'Time until an S3 server has answered an operation, repetitions included',
      ['operation'],
      SECONDS,
    )
  }

  /**
   * One operation, named as in the S3 API. Rejects with errors of the port; with the SDK's own where it says that a
   * blob is missing, and where only the caller knows what it means.
   */
  async call<T>(
    operation: string,
    work: (client: S3Client) => Promise<T>,
    { streams = false }: CallOptions = {},
  ): Promise<T> {
    const { hostname, port, protocol } = new URL(this.#options.endpoint)
    const attributes = {
      'rpc.system': 'aws-api',
      'rpc.service': 'S3',
      'rpc.method': operation,
      'aws.s3.bucket': this.bucket,
      'server.address': hostname,
      'server.port': Number(port || (protocol === 'https:' ? 443 : 80)),
    }
    const started = performance.now()
    let status = 'ok'
    try {
      return await span(
        `S3/${operation}`,
        attributes,
        async (active) => {
          try {
            return await work(streams ? this.#streaming : this.#client)
          } catch (error) {
            const http = httpStatusOf(error)
            if (http) active.setAttribute('http.response.status_code', http)
            throw isMissingBlob(error) ? error : explained(error, this.#options.variables)
          }
        },
        SpanKind.CLIENT,
      )
    } catch (error) {
      status = statusOf(error)
      throw error
    } finally {
      this.#count({ operation, status })
      this.#observe((performance.now() - started) / 1000, { operation })
    }
  }

  /** The error of the port for a fault, named by a code of the S3 API. */
  fault(code: string, cause?: unknown): unknown {
    return explained(faultNamed(code, cause), this.#options.variables)
  }

  /** The error of the port for what a stream of an answer broke off with. */
  broken(cause: unknown): Error {
    const known = explained(cause, this.#options.variables)
    if (known instanceof BlobStoreUnavailableError || known instanceof BlobStoreRefusedError) return known
    // Of the SDK, when the checksum is not that of the blob.
    return new BlobStoreUnavailableError('The file came damaged, or not to its end.', { cause })
  }

  close(): void {
    this.#client.destroy()
    this.#streaming.destroy()
  }
}

interface ClientTimeouts {
  connectMs: number
  /** Of a socket without traffic; 0 for none. */
  socketMs: number
  /** To the head of an answer; 0 for none. */
  answerMs: number
}

function clientOf(options: S3Options, { connectMs, socketMs, answerMs }: ClientTimeouts): S3Client {
  const { endpoint, region, accessKeyId, secretAccessKey, verify, log } = options
  const ignore = () => {}
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    // Only Amazon has a host name for every bucket.
    forcePathStyle: !new URL(endpoint).hostname.endsWith('.amazonaws.com'),
    maxAttempts: ATTEMPTS,
    requestChecksumCalculation: 'WHEN_SUPPORTED',
    responseChecksumValidation: 'WHEN_SUPPORTED',
    requestHandler: {
      connectionTimeout: connectMs,
      socketTimeout: socketMs,
      requestTimeout: answerMs,
      throwOnRequestTimeout: true,
      // Agents, and not only their options: the SDK has an agent of its own for large bodies, which would verify.
      httpAgent: new HttpAgent(CONNECTIONS),
      httpsAgent: new HttpsAgent({ ...CONNECTIONS, rejectUnauthorized: verify }),
      logger: {
        trace: ignore,
        debug: ignore,
        info: ignore,
        warn: (text) => log.warn(String(text)),
        error: ignore,
      },
    },
  })
  // Servers that know no other checksum want this one with DeleteObjects.
  client.middlewareStack.add(
    (next, context) => (args) => {
      const request = args.request as { headers: Record<string, string>; body: string | Uint8Array }
      if (context.commandName === 'DeleteObjectsCommand')
        request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64')
      return next(args)
    },
    { step: 'build', name: 'md5OfDeletions', priority: 'low' },
  )
  return client
}

function statusOf(error: unknown): string {
  if (isMissingBlob(error)) return 'missing'
  if (error instanceof BlobStoreUnavailableError) return 'unavailable'
  if (error instanceof BlobStoreRefusedError) return 'refused'
  if (error instanceof BlobStoreFullError) return 'full'
  if (httpStatusOf(error) === 416) return 'range'
  return (error as Error)?.name === 'AbortError' ? 'aborted' : 'error'
}
