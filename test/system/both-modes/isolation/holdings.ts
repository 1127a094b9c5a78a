import { randomUUID } from 'node:crypto'
import type { Chunk, Job, Library } from '@mnemosyne/contracts'
import type { SystemClient } from '../../client.ts'
import type { SystemInMode } from '../../mode.ts'
import { clientOf, expectStatus } from './clients.ts'

/** A library with one document in it, by everything that it can be asked for by. */
export interface Holding {
  library_uid: string
  workspace_id: string
  collection_uid: string
  item_uid: string
  chunk_uid: string
  job_id: string
  /** What Daedalus posts of its document; posted again, it is the same job. */
  document: Record<string, unknown>
  text: string
}

/** For documents, all of which are taken in at once. */
const PATIENCE_MS = 180_000

/** Stands in every document, so that a search for it tells what is searched. */
export const SHARED_WORD = 'lantern'

/** Makes a workspace and takes one document into it. */
export async function makeWorkspace(
  system: SystemInMode,
  owner: { name: string; token: string },
  workspace_id: string,
): Promise<Holding> {
  const client = clientOf(system, owner)
  const { library_uid } = await client.createWorkspace(workspace_id)
  return fill(system, client, { library_uid, workspace_id })
}

/** Makes a library without a workspace, with one document. */
export async function makeLibrary(
  system: SystemInMode,
  owner: { name: string; token: string },
  name: string,
  more: { global?: boolean } = {},
): Promise<Holding> {
  const client = clientOf(system, owner)
  const library = await emptyLibrary(client, name, more)
  return fill(system, client, { library_uid: library.uid, workspace_id: '' })
}

/** Makes a library with nothing in it. */
export async function emptyLibrary(
  client: SystemClient,
  name: string,
  more: { global?: boolean } = {},
): Promise<Library> {
  const request = { name, library_type: 'technical', ...more }
  return expectStatus(await client.call('POST', '/library/api/libraries/', request), 201) as Library
}

async function fill(
  system: SystemInMode,
  client: SystemClient,
  { library_uid, workspace_id }: Pick<Holding, 'library_uid' | 'workspace_id'>,
): Promise<Holding> {
  const text = `# Log of ${library_uid}\n\nThe ${SHARED_WORD} of ${library_uid} is lit at dusk by its keeper.\n`
  const document = await system.daedalus.put(`isolation/${library_uid}.md`, text)
  const accepted = await client.call('POST', '/library/api/ingest/', { ...document, library_uid })
  const job = await client.ended((expectStatus(accepted, 202) as Job).job_id, PATIENCE_MS)
  if (job.status !== 'completed') throw new Error(`a document was not taken in: ${job.error}`)
  const chunks = await client.call('GET', `/library/api/items/${job.item_uid}/chunks/`)
  const [chunk] = expectStatus(chunks, 200) as Chunk[]
  return {
    ...{ library_uid, workspace_id, document, text },
    collection_uid: job.collection_uid!,
    item_uid: job.item_uid,
    chunk_uid: chunk!.chunk_uid,
    job_id: job.job_id,
  }
}

/** What exists nowhere. */
export function missingHolding(like: Holding): Holding {
  return {
    library_uid: randomUUID(),
    workspace_id: `nowhere-${randomUUID()}`,
    collection_uid: randomUUID(),
    item_uid: randomUUID(),
    chunk_uid: randomUUID(),
    job_id: randomUUID(),
    document: like.document,
    text: like.text,
  }
}

/** What can be no id of anything. */
export function malformedHolding(like: Holding): Holding {
  return {
    library_uid: 'No-uid!',
    workspace_id: 'no id',
    collection_uid: 'No-uid!',
    item_uid: 'No-uid!',
    chunk_uid: 'No-uid!',
    job_id: 'No-uid!',
    document: like.document,
    text: like.text,
  }
}
