import type { Chunk, Job } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import { SystemClient } from '../../client.ts'

export type Answer = Awaited<ReturnType<SystemClient['call']>>

/** A REST client that trusts no connection: whatever it writes, it writes three times. */
export class Daedalus extends SystemClient {
  readonly username: string

  constructor(url: string, { username, token }: { username: string; token: string }) {
    super(url, token)
    this.username = username
  }

  /**
   * Sends a write twice at the same moment, as one does whose answer is late, and once more after that, as one does
   * whose answer was lost. One of the three has to be answered with the status `first`, the others with `again`.
   * Returns the answer to the one that did it, the last of the others, and all three in the order of their sending.
   */
  async write(
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body: unknown,
    [first, again]: readonly [first: number, again: number],
  ): Promise<{ first: Answer; again: Answer; answers: Answer[] }> {
    const send = () => this.call(method, path, body)
    const answers = [...(await Promise.all([send(), send()])), await send()]
    const what = `${method} ${path}: ${answers.map(({ text }) => text).join(' ')}`
    const byStatus = answers.map(({ status }) => status).sort()
    expect(byStatus, what).toEqual([first, again, again].sort())
    const did = answers.find(({ status }) => status === first)!
    return { first: did, again: answers.findLast((answer) => answer !== did)!, answers }
  }

  async read<T>(path: string): Promise<T> {
    const { status, body, text } = await this.call('GET', path)
    expect(status, `GET ${path}: ${text}`).toBe(200)
    return body
  }

  /** Posts what `DaedalusStore.put` returned, and polls its job to the end. */
  async ingest(request: Record<string, unknown>): Promise<Job> {
    const { first, again } = await this.write('POST', '/library/api/ingest/', request, [202, 200])
    const { job_id } = first.body as Job
    expect((again.body as Job).job_id).toBe(job_id)
    return this.ended(job_id)
  }

  async chunksOf(itemUid: string): Promise<Chunk[]> {
    return this.read(`/library/api/items/${itemUid}/chunks/`)
  }
}
