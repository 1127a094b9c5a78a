import {
  CorruptFileError,
  type DocumentError,
  EmptyFileError,
  EncryptedFileError,
  ProcessingMemoryError,
  ProcessingTimeoutError,
  TooLargeError,
  UnsupportedFormatError,
} from '../document/errors.ts'
import { type Ending, ParserChild } from './child-process.ts'
import { ProcessingFaultError, ProcessorUnavailableError } from './errors.ts'
import type { ChildMessage, Task } from './messages.ts'
import type { ProcessingResult, Processor, ProcessorOptions, ProcessRequest } from './processor.ts'

/** Memory that parsers lose, and fragments of the heap, go with the process. */
const MAX_USES = 500
/** A child that holds more than this share of its limit when idle is replaced. */
const IDLE_RSS_SHARE = 0.5
const MAX_FAILED_STARTS = 3

interface Job {
  task: Task
  request: ProcessRequest
  resolve: (result: ProcessingResult) => void
  reject: (error: unknown) => void
  crashes: number
  /** Of its last attempt, by `performance.now()`. */
  started: number
  onAbort: () => void
}

/** Starts the child processes. Each takes about half a second to get ready; tasks wait for it. */
export function openProcessor(options: ProcessorOptions): Processor {
  const pool = new ProcessPool(options)
  return {
    process: (request) => pool.process(request),
    close: () => pool.close(),
    [Symbol.asyncDispose]: () => pool.close(),
  }
}

class ProcessPool {
  readonly #options: ProcessorOptions
  readonly #queue: Job[] = []
  readonly #children = new Map<ParserChild, Job | undefined>()
  readonly #observe: (seconds: number, labels: Record<string, string>) => void
  readonly #countEnd: (labels: Record<string, string>) => void
  readonly #setQueueLength: (length: number) => void
  readonly #endReading: () => void
  #nextId = 1
  #failedStarts = 0
  #closed = false

  constructor(options: ProcessorOptions) {
    this.#options = options
    const { metrics } = options
    this.#observe = metrics.histogram(
      'mnemosyne_processing_duration_seconds',
      'Time a document took in a child process: parsing, chunking, concepts',
      ['outcome'],
      [0.005, 0.02, 0.1, 0.5, 2, 10, 30, 60, 120, 300],
    )
    this.#countEnd = metrics.counter(
      'mnemosyne_processing_child_ends_total',
      'Child processes that ended, by cause',
      ['cause'],
    )
    this.#setQueueLength = metrics.gauge(
      'mnemosyne_processing_queue_length',
      'Documents that wait for a child process',
    )
    this.#endReading = metrics.reading(
      'mnemosyne_processing_children',
      'Child processes for documents that live, busy or waiting',
      ['state'],
      () => {
        const busy = [...this.#children.values()].filter((job) => job !== undefined).length
        return [
          [busy, { state: 'busy' }],
          [this.#children.size - busy, { state: 'idle' }],
        ]
      },
    )
    this.#start(options.size)
  }

  process(request: ProcessRequest): Promise<ProcessingResult> {
    if (this.#closed) return Promise.reject(closedError())
    if (request.signal?.aborted) return Promise.reject(request.signal.reason)
    return new Promise((resolve, reject) => {
      const { itemUid, chunking, libraryType } = request
      const task: Task = {
        id: this.#nextId++,
        itemUid,
        chunking,
        libraryType,
        avoidNative: false,
        path: request.path,
        declaredType: request.declaredType,
        fileName: request.fileName,
      }
      const job: Job = {
        task,
        request,
        resolve,
        reject,
        crashes: 0,
        started: 0,
        onAbort: () => this.#abort(job),
      }
      request.signal?.addEventListener('abort', job.onAbort, { once: true })
      this.#queue.push(job)
      this.#dispatch()
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#endReading()
    for (const job of this.#queue.splice(0)) this.#settle(job, () => job.reject(closedError()))
    const children = [...this.#children.keys()]
    for (const child of children) child.kill('closed')
    await Promise.all(children.map((child) => child.ended))
  }

  #start(count: number): void {
    const { tokenizerDir, limits, inputDirs } = this.#options
    const { maxInputBytes, maxOutputBytes, maxPages, maxRssBytes } = limits
    for (let started = 0; started < count; started += 1) {
      const child = new ParserChild({
        settings: { maxInputBytes, maxOutputBytes, maxPages, ...(tokenizerDir && { tokenizerDir }) },
        maxRssBytes,
        inputDirs,
        onMessage: (from, message) => this.#receive(from, message),
        onEnd: (ended, ending) => this.#ended(ended, ending),
      })
      this.#children.set(child, undefined)
    }
  }

  #dispatch(): void {
    for (const [child, busy] of this.#children) {
      if (this.#queue.length === 0) break
      if (busy || !child.ready) continue
      const job = this.#queue.shift()!
      this.#children.set(child, job)
      job.started = performance.now()
      child.run(job.task, this.#options.limits.timeoutMs)
    }
    this.#setQueueLength(this.#queue.length)
    if (!this.#closed && this.#queue.length > 0) this.#start(this.#options.size - this.#children.size)
  }

  #receive(child: ParserChild, message: ChildMessage): void {
    if (message.type === 'ready') {
      this.#failedStarts = 0
      this.#dispatch()
      return
    }
    const job = this.#children.get(child)
    if (!job || job.task.id !== message.id) return
    if (message.type === 'stage') {
      job.request.onStage?.(message.stage)
      return
    }
    child.rest()
    this.#children.set(child, undefined)
    this.#finish(job, message)
    const worn = child.used >= MAX_USES || message.rss > this.#options.limits.maxRssBytes * IDLE_RSS_SHARE
    if (worn) child.kill('recycled')
    else this.#dispatch()
  }

  #finish(job: Job, message: Exclude<ChildMessage, { type: 'ready' | 'stage' }>): void {
    if (message.type === 'result') {
      this.#settle(job, () => job.resolve(message.result), 'completed')
    } else if (message.type === 'refused') {
      const error = refusal(message.code, message.message, message.detectedType)
      this.#settle(job, () => job.reject(error), 'refused')
    } else {
      this.#options.log.error({ error: message.stack ?? message.message }, 'processing a document failed')
      const error = new ProcessingFaultError(
        'The file could not be processed because of a fault in the server.',
      )
      this.#settle(job, () => job.reject(error), 'failed')
    }
  }

  #ended(child: ParserChild, ending: Ending): void {
    const job = this.#children.get(child)
    if (!this.#children.delete(child)) return
    this.#countEnd({ cause: ending.cause })
    if (!child.ready && ending.cause === 'crash') this.#startFailed(ending.detail)
    if (job) this.#loseChild(job, ending)
    if (this.#closed) return
    // Worth replacing at once, so that the next document finds a warm child; a start that failed waits for need.
    if (child.ready) this.#start(this.#options.size - this.#children.size)
    this.#dispatch()
  }

  #startFailed(detail: string): void {
    this.#failedStarts += 1
    this.#options.log.error({ detail }, 'a parser process did not start')
    if (this.#failedStarts < MAX_FAILED_STARTS) return
    this.#failedStarts = 0
    const error = new ProcessorUnavailableError('The parser processes do not start; the log has the reason.')
    for (const job of this.#queue.splice(0)) this.#settle(job, () => job.reject(error))
  }

  #loseChild(job: Job, ending: Ending): void {
    const { timeoutMs, maxRssBytes } = this.#options.limits
    const seconds = Math.round((performance.now() - job.started) / 1000)
    if (ending.cause === 'crash' || ending.cause === 'recycled') this.#crashed(job, ending)
    else if (ending.cause === 'timeout') {
      const error = new ProcessingTimeoutError(
        `Reading the file took more than ${inSeconds(timeoutMs)} and was stopped. Split it, or save it anew.`,
      )
      this.#settle(job, () => job.reject(error), 'timeout')
    } else if (ending.cause === 'closed') this.#settle(job, () => job.reject(closedError()))
    else if (ending.cause === 'abort') this.#settle(job, () => job.reject(job.request.signal?.reason))
    else {
      const error = new ProcessingMemoryError(
        `Reading the file needed more than ${Math.round(maxRssBytes / 2 ** 20)} MiB of memory (after ${seconds} s) and was stopped. Split it, or save it anew.`,
      )
      this.#settle(job, () => job.reject(error), 'memory')
    }
  }

  /** Once more in a fresh process and without native code; then the file is at fault. */
  #crashed(job: Job, ending: Ending): void {
    job.crashes += 1
    const detail = ending.cause === 'crash' ? ending.detail : ending.cause
    this.#options.log.warn(
      { item_uid: job.task.itemUid, crashes: job.crashes, detail },
      'a parser process crashed',
    )
    if (job.crashes < 2 && !this.#closed) {
      job.task = { ...job.task, avoidNative: true }
      this.#queue.unshift(job)
      return
    }
    const error = new CorruptFileError(
      'The file made its reader crash twice; it is damaged. Save or export it anew.',
    )
    this.#settle(job, () => job.reject(error), 'crashed')
  }

  #abort(job: Job): void {
    const waiting = this.#queue.indexOf(job)
    if (waiting !== -1) {
      this.#queue.splice(waiting, 1)
      this.#settle(job, () => job.reject(job.request.signal?.reason))
      return
    }
    for (const [child, busy] of this.#children) if (busy === job) child.kill('abort')
  }

  #settle(job: Job, settle: () => void, outcome?: string): void {
    job.request.signal?.removeEventListener('abort', job.onAbort)
    if (outcome) this.#observe((performance.now() - job.started) / 1000, { outcome })
    settle()
  }
}

function inSeconds(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000)
  return seconds === 1 ? '1 second' : `${seconds} seconds`
}

function closedError(): ProcessorUnavailableError {
  return new ProcessorUnavailableError('The processor is closed.')
}

/** The error of a child as one of ours: classes do not cross the channel. */
function refusal(code: DocumentError['code'], message: string, detectedType?: string): DocumentError {
  switch (code) {
    case 'unsupported_format':
      return new UnsupportedFormatError(detectedType ?? 'application/octet-stream', message)
    case 'empty_file':
      return new EmptyFileError(message)
    case 'corrupt_file':
      return new CorruptFileError(message)
    case 'encrypted_file':
      return new EncryptedFileError(message)
    case 'file_too_large':
      return new TooLargeError(message)
    case 'processing_timeout':
      return new ProcessingTimeoutError(message)
    case 'processing_memory':
      return new ProcessingMemoryError(message)
  }
}
