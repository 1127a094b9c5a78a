import { constants, openAsBlob } from 'node:fs'
import { access, open, readdir, stat } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import { CallError, Job, UPLOAD_PATH } from '@mnemosyne/contracts'
import type { Connection } from './connect.ts'
import { CommandError, EXIT } from './output.ts'

const TYPES: Record<string, string> = {
  '.md': 'text/markdown',
  '.markdown': 'text/markdown',
  '.txt': 'text/plain',
  '.html': 'text/html',
  '.htm': 'text/html',
  '.pdf': 'application/pdf',
}

export interface FoundFile {
  path: string
  type: string
}

export interface FoundFiles {
  files: FoundFile[]
  /** Files in folders that no parser reads. */
  skipped: { path: string; reason: string }[]
  /** Files and folders that this user may not read. */
  unreadable: { path: string; reason: string }[]
}

/** Bytes at a file's beginning that tell text from the rest. */
const PROBE = 4096

/**
 * Files to ingest: a file that is named is always one; in folders, at any depth, those that look like documents.
 * Hidden files and folders, and symbolic links in folders, are passed over.
 */
export async function findFiles(paths: string[], cwd: string): Promise<FoundFiles> {
  const found: FoundFiles = { files: [], skipped: [], unreadable: [] }
  for (const path of paths.map((path) => resolve(cwd, path))) {
    const info = await stat(path).catch(() => undefined)
    if (!info) throw new CommandError(`There is no file or folder ${path}.`, EXIT.usage)
    if (info.isDirectory()) await walk(path, found)
    else await add(path, found)
  }
  return found
}

async function walk(folder: string, found: FoundFiles): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined)
  if (!entries) return void found.unreadable.push({ path: folder, reason: UNREADABLE })
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    if (entry.isDirectory()) await walk(path, found)
    else if (!entry.isFile()) found.skipped.push({ path, reason: 'not a regular file' })
    else if (extname(path).toLowerCase() in TYPES || (await looksLikeText(path))) await add(path, found)
    else found.skipped.push({ path, reason: 'not a kind of document that is read' })
  }
}

const UNREADABLE = 'may not be read by this user'

async function add(path: string, found: FoundFiles): Promise<void> {
  const readable = await access(path, constants.R_OK).then(
    () => true,
    () => false,
  )
  if (readable) found.files.push({ path, type: typeOf(path) })
  else found.unreadable.push({ path, reason: UNREADABLE })
}

/** True also when it can't be opened: then it is told as unreadable. */
async function looksLikeText(path: string): Promise<boolean> {
  const file = await open(path).catch(() => undefined)
  if (!file) return true
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(PROBE), 0, PROBE, 0)
    return bytesRead > 0 && !buffer.subarray(0, bytesRead).includes(0)
  } catch {
    // A file of /proc, say, that is no file.
    return false
  } finally {
    await file.close()
  }
}

const typeOf = (path: string) => TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream'

/** Uploads one file; its `source_ref` is its absolute path, so that a changed file is a new version of its item. */
export async function uploadFile(
  to: Connection,
  file: FoundFile,
  target: { library_uid: string; collection_uid?: string; source_ref?: string; title?: string },
  signal?: AbortSignal,
): Promise<Job> {
  const form = new FormData()
  form.set('library_uid', target.library_uid)
  if (target.collection_uid) form.set('collection_uid', target.collection_uid)
  if (target.title) form.set('title', target.title)
  form.set('source_ref', target.source_ref ?? file.path)
  form.set('file', await openAsBlob(file.path, { type: file.type }), basename(file.path))
  // A Request of its own writes the form's boundary; its body is passed on as a stream.
  const { headers, body } = new Response(form)
  const type = headers.get('content-type') ?? ''
  const request = new Request(`${to.url}${UPLOAD_PATH}`, {
    method: 'POST',
    headers: { 'content-type': type },
    body,
    signal,
    duplex: 'half',
  } as RequestInit)
  const response = await to.fetch(request)
  const answer: unknown = await response.json()
  if (response.ok) return Job.parse(answer)
  const detail = (answer as { detail?: string }).detail ?? JSON.stringify(answer)
  throw new CallError(response.status, detail)
}

/** Calls `use` for each element, at most `width` at once, in order. */
export async function eachOf<T>(
  elements: T[],
  width: number,
  use: (element: T) => Promise<void>,
): Promise<void> {
  const queue = elements.values()
  const lane = async () => {
    for (const element of queue) await use(element)
  }
  await Promise.all(Array.from({ length: Math.min(width, elements.length) }, lane))
}

const POLL_MS = 300

/** Waits until every job has ended; `onChange` sees each job as it changes. */
export async function awaitJobs(
  of: Connection,
  jobs: Job[],
  onChange: (job: Job) => void,
  signal?: AbortSignal,
): Promise<Job[]> {
  const state = new Map(jobs.map((job) => [job.job_id, job]))
  const ended = (job: Job) => job.status === 'completed' || job.status === 'failed'
  for (;;) {
    const open = [...state.values()].filter((job) => !ended(job))
    if (open.length === 0) return jobs.map((job) => state.get(job.job_id)!)
    // Jobs end about in the order in which they came; looking at the first few is enough.
    for (const { job_id, progress } of open.slice(0, 16)) {
      const job = await of.ingest.jobs.get({ job_id })
      state.set(job_id, job)
      if (job.progress !== progress || ended(job)) onChange(job)
    }
    await pause(POLL_MS, signal)
  }
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
}
