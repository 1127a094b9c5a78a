import type { AuditRecord, Chunk, Item, Job, SearchAnswer } from '@mnemosyne/contracts'
import type { DistributedSystem } from '../system/distributed-system.ts'
import { rowsOf } from '../system/stores.ts'
import type { Promise_, Traffic } from './traffic.ts'

/** What became of all that was promised, and what is wrong with it. */
export interface Ledger {
  accepted: number
  completed: number
  superseded: number
  /** By reason. */
  failed: Record<string, number>
  faults: string[]
}

/** Ends that a person can act on; anything else is a fault of ours. */
const TRUE_REASON = /^It did not work after \d+ attempts: .+\. Retry it when that is mended\.$/

const CALM_MS = 120_000

/** Waits until every job has ended, then looks at every store. */
export async function balance(
  system: DistributedSystem,
  traffic: Traffic,
  library_uid: string,
): Promise<Ledger> {
  const ledger: Ledger = {
    accepted: traffic.accepted.size,
    completed: 0,
    superseded: 0,
    failed: {},
    faults: [],
  }
  for (const { job_id } of traffic.accepted.values()) note(ledger, await endOf(system, job_id))
  // A failed job is a promise still: its cause is mended, so a retry has to succeed.
  for (const promise of traffic.promises.values()) await retryFailed(system, promise)
  await settled(system, ledger)
  const documents: Document[] = []
  for (const promise of traffic.promises.values())
    documents.push(await lookAtDocument(system, promise, ledger))
  await lookAtLibrary(system, library_uid, documents, ledger)
  await lookAtBlobs(system, ledger)
  await lookAtAuditLog(system, ledger)
  return ledger
}

function note(ledger: Ledger, job: Job): void {
  if (job.status === 'failed') {
    ledger.failed[job.error!] = (ledger.failed[job.error!] ?? 0) + 1
    if (!TRUE_REASON.test(job.error ?? '')) ledger.faults.push(`job ${job.job_id} failed: ${job.error}`)
  } else if (job.stage === 'superseded') ledger.superseded += 1
  else if (job.status === 'completed') ledger.completed += 1
  else ledger.faults.push(`job ${job.job_id} never ended: ${job.status}, ${job.stage}, ${job.progress} %`)
}

async function endOf(system: DistributedSystem, jobId: string): Promise<Job> {
  return system.ended(jobId, CALM_MS).catch(async () => {
    const { body } = await system.call('GET', `/library/api/jobs/${jobId}/`)
    return body as Job
  })
}

async function retryFailed(system: DistributedSystem, promise: Promise_): Promise<void> {
  const job = await endOf(system, promise.job.job_id)
  if (job.status !== 'failed') return
  await system.call('POST', `/library/api/jobs/${job.job_id}/retry/`)
  promise.job = await endOf(system, job.job_id)
}

/** Events have arrived and nothing waits. */
async function settled(system: DistributedSystem, ledger: Ledger): Promise<void> {
  const deadline = performance.now() + CALM_MS
  const waiting = async () =>
    (
      await Promise.all(
        (['auth', 'library', 'ingest'] as const).map((service) =>
          rowsOf('', service, 'outbox', system.servers.databaseUrl),
        ),
      )
    ).flat().length
  while ((await waiting()) > 0) {
    if (performance.now() > deadline) {
      ledger.faults.push(`${await waiting()} messages still wait in the outbox`)
      return
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

const get = <T>(system: DistributedSystem, path: string) => ask<T>(system, 'GET', path)

/** A read is repeated while a part of the system is still coming back. */
async function ask<T>(
  system: DistributedSystem,
  method: string,
  path: string,
  request?: unknown,
): Promise<T> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const { status, body, text } = await system.call(method, path, request)
    if (status === 200) return body
    if (status < 500 || performance.now() > deadline) throw new Error(`${method} ${path}: ${status} ${text}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function allItems(system: DistributedSystem, filter = ''): Promise<Item[]> {
  const items: Item[] = []
  for (;;) {
    const page = await get<Item[]>(system, `/library/api/items/?${filter}&limit=200&offset=${items.length}`)
    items.push(...page)
    if (page.length < 200) return items
  }
}

interface Document {
  item_uid: string
  chunks: number
}

/** The item shows the version that was promised last, whole and once, and is found by what only it says. */
async function lookAtDocument(
  system: DistributedSystem,
  promise: Promise_,
  ledger: Ledger,
): Promise<Document> {
  const { source_ref, content, job } = promise
  const chunks = await get<Chunk[]>(system, `/library/api/items/${job.item_uid}/chunks/?limit=200`)
  const text = chunks.map((chunk) => chunk.text).join('\n')
  const missing = [...content.matchAll(/Entry (\S+) tells|This is (edition \d+)/g)]
    .map(([, entry, edition]) => entry ?? edition!)
    .filter((words) => !text.includes(words))
  if (missing.length > 0) ledger.faults.push(`${source_ref} lacks ${missing.length} of its sentences`)
  const uids = new Set(chunks.map(({ chunk_uid }) => chunk_uid))
  if (uids.size !== chunks.length) ledger.faults.push(`${source_ref} has passages twice`)
  if (chunks.some(({ chunk_index }, index) => chunk_index !== index))
    ledger.faults.push(`${source_ref} has gaps between its passages`)
  const words = /edition \d+/.exec(content)![0]
  const found = await ask<SearchAnswer>(system, 'POST', '/library/api/search/', {
    query: `"${words}"`,
    limit: 5,
    // A passage that resembles all others is not among the first by meaning; by its words there is no other.
    search_types: ['fulltext'],
  })
  const hits = found.candidates.filter(({ item_uid }) => item_uid === job.item_uid)
  if (hits.length !== 1) ledger.faults.push(`${source_ref} is found ${hits.length} times by "${words}"`)
  return { item_uid: job.item_uid, chunks: chunks.length }
}

async function lookAtLibrary(
  system: DistributedSystem,
  library_uid: string,
  documents: Document[],
  ledger: Ledger,
): Promise<void> {
  const items = await allItems(system, `library_uid=${library_uid}`)
  const expected = new Set(documents.map(({ item_uid }) => item_uid))
  const strangers = items.filter(({ uid }) => !expected.has(uid))
  if (strangers.length > 0) ledger.faults.push(`${strangers.length} items that nobody sent`)
  if (items.length !== documents.length)
    ledger.faults.push(`${items.length} items in place of ${documents.length}`)
  const incomplete = items.filter(({ embedding_status }) => embedding_status !== 'completed')
  if (incomplete.length > 0) ledger.faults.push(`${incomplete.length} items are not completed`)
  const library = await get<{ chunk_count: number }>(system, `/library/api/libraries/${library_uid}/`)
  const chunks = documents.reduce((sum, document) => sum + document.chunks, 0)
  if (library.chunk_count !== chunks)
    ledger.faults.push(`${library.chunk_count} passages are counted in place of ${chunks}`)
  const cached = await rowsOf('', 'ingest', 'embedding_cache', system.servers.databaseUrl)
  if (cached.length > 0) ledger.faults.push(`${cached.length} vectors of jobs that have ended are kept`)
}

/** Of every job that there is the audit log tells once that it was accepted. */
async function lookAtAuditLog(system: DistributedSystem, ledger: Ledger): Promise<void> {
  const url = system.servers.databaseUrl
  const jobs = await rowsOf<{ job_id: string }>('', 'ingest', 'job', url)
  const look = async () => {
    const told = new Map<string, number>()
    for (const { action, target } of await rowsOf<AuditRecord>('', 'auth', 'audit_log', url))
      if (action === 'job.accepted') told.set(target, (told.get(target) ?? 0) + 1)
    const times = jobs.map(({ job_id }) => told.get(job_id) ?? 0)
    return { never: times.filter((n) => n === 0).length, often: times.filter((n) => n > 1).length }
  }
  const deadline = performance.now() + CALM_MS
  let state = await look()
  while (state.never > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    state = await look()
  }
  if (state.never > 0) ledger.faults.push(`the audit log does not know ${state.never} of ${jobs.length} jobs`)
  if (state.often > 0) ledger.faults.push(`the audit log tells of ${state.often} jobs more than once`)
}

/** One version of each item and nothing else, once what was left by processes that died has been tidied. */
async function lookAtBlobs(system: DistributedSystem, ledger: Ledger): Promise<void> {
  const expected = (await allItems(system)).length
  const ingest = system.cluster.processes.ingest[0]!
  await ingest.stop()
  ingest.start()
  await ingest.ready()
  const wrong = async () => {
    const keys = await system.blobs()
    const versions = new Set(
      keys.filter((key) => key.startsWith('items/')).map((key) => key.split('/', 3).join('/')),
    )
    const others = keys.filter((key) => !key.startsWith('items/') && !key.startsWith('uploads/'))
    return { versions: versions.size, others }
  }
  const deadline = performance.now() + 30_000
  let state = await wrong()
  while ((state.versions !== expected || state.others.length > 0) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    state = await wrong()
  }
  if (state.versions !== expected)
    ledger.faults.push(`blobs of ${state.versions} versions in place of ${expected}`)
  if (state.others.length > 0) ledger.faults.push(`blobs that nothing refers to: ${state.others.slice(0, 3)}`)
}
