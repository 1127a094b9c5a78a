import type { Chunk, Job } from '@mnemosyne/contracts'
import type { SystemClient } from '../test/system/client.ts'
import { RunningSystem } from '../test/system/harness.ts'
import type { SourceFile } from './corpus.ts'

/** Starts the product as a person would, without the samples. */
export function startSystem(
  dataDir: string,
  token?: string,
  env: Record<string, string> = {},
): Promise<RunningSystem> {
  return RunningSystem.start(dataDir, { token, env: { LOGGING_LEVEL: 'info', ...env } })
}

/** Its uid. */
export async function createLibrary(
  system: SystemClient,
  workspace_id: string,
  library_type = 'technical',
): Promise<string> {
  const request = { workspace_id, name: workspace_id, library_type }
  const { status, text, body } = await system.call('POST', '/library/api/workspaces/', request)
  if (status !== 201) throw new Error(`The library was not created: ${status} ${text}`)
  return (body as { library_uid: string }).library_uid
}

const UPLOADS_AT_ONCE = 4

export interface Ingested {
  jobs: Job[]
  /** From the first upload to the end of the last job, in milliseconds. */
  took: number
}

/** Uploads the files a few at a time, and waits until the last job has completed. */
export async function ingest(
  system: SystemClient,
  workspace_id: string,
  files: readonly SourceFile[],
  collection_uid?: string,
): Promise<Ingested> {
  const started = Date.now()
  const waiting = files.values()
  const accepted: Job[] = []
  const send = async () => {
    for (const file of waiting) {
      const fields = { workspace_id, source_ref: file.name, ...(collection_uid && { collection_uid }) }
      const { status, text, body } = await system.upload(fields, file)
      if (status !== 202) throw new Error(`${file.name} was not taken: ${status} ${text}`)
      accepted.push(body)
    }
  }
  await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, send))
  const jobs: Job[] = []
  for (const { job_id } of accepted) jobs.push(await completed(system, job_id))
  // By the product's own clock, so that the waiting here need not be fine and take time from the work.
  return { jobs, took: Math.max(...jobs.map((job) => Date.parse(job.completed_at!))) - started }
}

async function completed(system: SystemClient, jobId: string): Promise<Job> {
  for (;;) {
    const job = await get<Job>(system, `/library/api/jobs/${jobId}/`)
    if (job.status === 'completed') return job
    if (job.status === 'failed') throw new Error(`The job of ${job.title} failed: ${job.error}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** The texts of all passages of the items, as the product cut them. */
export async function passagesOf(system: SystemClient, itemUids: readonly string[]): Promise<string[]> {
  const texts: string[] = []
  for (const uid of itemUids) texts.push(...(await chunksOf(system, uid)).map((chunk) => chunk.text))
  return texts
}

/** The passages of an item, in reading order. */
export async function chunksOf(system: SystemClient, itemUid: string): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  for (let offset = 0; ; offset += 200) {
    const page = await get<Chunk[]>(
      system,
      `/library/api/items/${itemUid}/chunks/?limit=200&offset=${offset}`,
    )
    chunks.push(...page)
    if (page.length < 200) return chunks
  }
}

async function get<T>(system: SystemClient, path: string): Promise<T> {
  const { status, text, body } = await system.call('GET', path)
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${text}`)
  return body
}
