import { randomUUID } from 'node:crypto'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { sha256OfFile } from './model-folder.ts'

export interface Download {
  url: string
  /** Where the whole, verified file goes. */
  to: string
  /** `<partsAt>.part` keeps what an interrupted attempt got; on the same file system as `to`. */
  partsAt: string
  bytes: number
  sha256: string
  fetch: typeof fetch
  signal?: AbortSignal
  onProgress?: (received: number) => void
  /** Milliseconds to the response, and without a byte after it. */
  answerTimeout?: number
  stallTimeout?: number
}

/** A download that gave no usable file. `code` is stable. */
export class DownloadFailed extends Error {
  override readonly name = 'DownloadFailed'
  readonly code = 'download_failed'
}

/** The file came, and is another one. What was received is thrown away. */
export class WrongContent extends Error {
  override readonly name = 'WrongContent'
  readonly code = 'wrong_content'
}

const ATTEMPTS = 5

/**
 * Downloads a file of known size and SHA-256. Goes on where an earlier attempt stopped, in this call or in
 * an earlier process (HTTP Range); gives up when an attempt brings nothing.
 *
 * Each caller writes a part file of its own. A left-over one is taken over by renaming it, which only one of
 * several processes can do.
 */
export async function download(options: Download): Promise<void> {
  const { to, partsAt, bytes, sha256, signal } = options
  const part = `${partsAt}.${randomUUID()}.part`
  await takeOver(partsAt, part)
  let received = await sizeOf(part)
  try {
    for (let attempt = 1; received < bytes; attempt++) {
      const before = received
      const failure = await receive(options, part, received).catch((error: unknown) => error)
      signal?.throwIfAborted()
      received = await sizeOf(part)
      if (failure instanceof WrongContent) throw failure
      if (received < bytes && (received <= before || attempt === ATTEMPTS)) {
        throw new DownloadFailed(`${new URL(options.url).host} ${describe(failure)}`, { cause: failure })
      }
    }
    if ((await sha256OfFile(part)) !== sha256) {
      throw new WrongContent(`${new URL(options.url).host} sent another file than the one that is pinned`)
    }
    await rename(part, to)
  } catch (error) {
    if (error instanceof WrongContent) await rm(part, { force: true })
    else if (await sizeOf(part)) await rename(part, `${partsAt}.part`)
    else await rm(part, { force: true })
    throw error
  }
}

/** One request from `offset`; appends to `part`. A server that knows no ranges starts it again. */
async function receive(options: Download, part: string, offset: number): Promise<void> {
  const { url, bytes, signal, onProgress, answerTimeout = 4_000, stallTimeout = 15_000 } = options
  const quiet = new AbortController()
  const stop = (ms: number, why: string) =>
    setTimeout(() => quiet.abort(new DownloadFailed(`${why} within ${ms / 1000} s`)), ms)
  let timer = stop(answerTimeout, 'did not answer')
  try {
    const response = await options.fetch(url, {
      headers: offset > 0 ? { range: `bytes=${offset}-` } : {},
      signal: signal ? AbortSignal.any([signal, quiet.signal]) : quiet.signal,
    })
    if (!response.ok || !response.body) {
      await response.body?.cancel()
      if (response.status === 416) throw new WrongContent('has a shorter file than the one that is pinned')
      throw new DownloadFailed(`answered ${response.status} ${response.statusText}`.trim())
    }
    const resumed = response.status === 206
    if (resumed && !response.headers.get('content-range')?.startsWith(`bytes ${offset}-`)) {
      await response.body.cancel()
      throw new DownloadFailed('sent another part of the file than was asked for')
    }
    let received = resumed ? offset : 0
    const watch = () => {
      clearTimeout(timer)
      timer = stop(stallTimeout, 'sent nothing')
    }
    watch()
    // Not a pipeline: that would throw away what waits to be written when the connection breaks.
    await using file = await open(part, resumed ? 'a' : 'w')
    for await (const bytesRead of response.body) {
      watch()
      received += bytesRead.length
      if (received > bytes) throw new WrongContent('sent more than the pinned file holds')
      await file.writeFile(bytesRead)
      onProgress?.(received)
    }
  } finally {
    clearTimeout(timer)
  }
}

/** A part file in use grows all the time; one that has not for a while belongs to nobody any more. */
const ORPHANED_AFTER_MS = 30_000

async function takeOver(partsAt: string, part: string): Promise<void> {
  const names = await readdir(dirname(partsAt))
  for (const name of names.filter(
    (name) => name.startsWith(`${basename(partsAt)}.`) && name.endsWith('.part'),
  )) {
    const file = join(dirname(partsAt), name)
    const age = Date.now() - ((await stat(file).catch(() => undefined))?.mtimeMs ?? Date.now())
    if (name !== `${basename(partsAt)}.part` && age < ORPHANED_AFTER_MS) continue
    if (
      await rename(file, part).then(
        () => true,
        () => false,
      )
    )
      return
  }
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0
}

/** undici hides the reason (`ENOTFOUND`, `ECONNREFUSED`) in the cause. */
function describe(failure: unknown): string {
  if (failure === undefined) return 'closed the connection too early'
  const error = failure as Error & { cause?: { code?: string; message?: string } }
  if (failure instanceof DownloadFailed) return error.message
  return `could not be read (${error.cause?.code ?? error.cause?.message ?? error.message})`
}
