import { setTimeout as wait } from 'node:timers/promises'
import type { Job } from '@mnemosyne/contracts'
import type { SystemClient } from '../system/client.ts'
import { inventedDocument } from '../system/stores.ts'

/** What the system has promised about one document: the job of the version that it took last. */
export interface Promise_ {
  source_ref: string
  content: string
  job: Job
}

export interface Refusals {
  /** Why requests were answered 5xx or not at all, by what was asked. */
  reads: string[]
  writes: string[]
}

type Answer = Awaited<ReturnType<SystemClient['upload']>>

const reasonOf = (answer: Pick<Answer, 'status' | 'text'> | Error) =>
  answer instanceof Error ? String(answer.cause ?? answer) : `${answer.status} ${answer.text}`

/**
 * People at work: documents come in and are changed, and searches go on, over every gateway in turn. A write that
 * fails is sent again until it is taken, as Daedalus does; what was taken once is a promise.
 */
export class Traffic {
  readonly promises = new Map<string, Promise_>()
  /** Every job that was accepted, also of versions that were replaced since. */
  readonly accepted = new Map<string, Job>()
  readonly refusals: Refusals = { reads: [], writes: [] }
  readonly #clients: readonly SystemClient[]
  readonly #library_uid: string
  readonly #random: () => number
  readonly #stop = new AbortController()
  #going: Promise<unknown> = Promise.resolve()
  #turn = 0
  #documents = 0
  answered = 0

  constructor(clients: readonly SystemClient[], library_uid: string, random: () => number) {
    this.#clients = clients
    this.#library_uid = library_uid
    this.#random = random
  }

  /** Searches without an end, and documents as fast as `writers` can send them, until {@link stop}. */
  start(writers = 1, pauseMs = 400): void {
    const loop = async (work: () => Promise<void>, pause: number) => {
      while (!this.#stop.signal.aborted) {
        await work()
        await wait(pause, undefined, { signal: this.#stop.signal }).catch(() => undefined)
      }
    }
    this.#going = Promise.all([
      loop(() => this.#search(), 150),
      ...Array.from({ length: writers }, () => loop(async () => void (await this.write()), pauseMs)),
    ])
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#going
  }

  /** A new document, or a new version of one that is there. */
  async write(): Promise<Job> {
    const known = [...this.promises.keys()]
    const edits = known.length > 2 && this.#random() < 0.3
    const source_ref = edits ? known[Math.floor(this.#random() * known.length)]! : `Light${this.#documents++}`
    const passages = 1 + Math.floor(this.#random() * 3)
    const edition = Math.floor(this.#random() * 1e9)
    const content = `${inventedDocument(source_ref, passages)}\n\n## Edition\n\nThis is edition ${edition} of ${source_ref}.\n`
    for (;;) {
      const job = await this.#send(source_ref, content)
      if (job) {
        this.accepted.set(job.job_id, job)
        this.promises.set(source_ref, { source_ref, content, job })
        return job
      }
      await wait(200)
    }
  }

  async #send(source_ref: string, content: string): Promise<Job | undefined> {
    const file = { name: `${source_ref}.md`, content }
    const answer = await this.#client()
      .upload({ library_uid: this.#library_uid, source_ref }, file)
      .catch((error: Error) => error)
    if (!(answer instanceof Error)) {
      if (answer.status === 202 || answer.status === 200) return answer.body
      if (answer.status < 500) throw new Error(`an upload was refused: ${answer.status} ${answer.text}`)
    }
    this.refusals.writes.push(reasonOf(answer))
    return undefined
  }

  async #search(): Promise<void> {
    const answer = await this.#client()
      .call('POST', '/library/api/search/', { query: 'which keeper trimmed the lamp?', limit: 5 })
      .catch((error: Error) => error)
    if (answer instanceof Error || answer.status >= 500) this.refusals.reads.push(reasonOf(answer))
    else if (answer.status === 200) this.answered += 1
    else throw new Error(`a search was refused: ${answer.status} ${answer.text}`)
  }

  #client(): SystemClient {
    return this.#clients[this.#turn++ % this.#clients.length]!
  }
}
