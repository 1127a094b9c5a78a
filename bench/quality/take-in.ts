import type { LibraryType } from '@mnemosyne/contracts'
import type { SystemClient } from '../../test/system/client.ts'
import { say } from '../bench.ts'
import type { SourceFile } from '../corpus.ts'
import { createLibrary, ingest } from '../system.ts'
import type { Document } from './collection.ts'

const UPLOADED_TOGETHER = 200

/** Where a question is asked; empty: in all of the store. */
export interface Where {
  library_uid?: string
  collection_uid?: string
}

/** What a store holds, as the product calls it. */
export interface TakenIn {
  /** Libraries and collections by the name that they were asked for by. */
  places: Record<string, Where>
  /** By item uid. */
  documentOf: Record<string, string>
  passages: number
  /** Milliseconds. */
  took: number
}

export const nothingYet = (): TakenIn => ({ places: {}, documentOf: {}, passages: 0, took: 0 })

/** A library of its own, noted under its name. */
export async function newLibrary(
  system: SystemClient,
  taken: TakenIn,
  name: string,
  type: LibraryType = 'nonfiction',
): Promise<void> {
  taken.places[name] = { library_uid: await createLibrary(system, workspaceOf(name), type) }
}

/** A collection in a library, noted under its name. */
export async function newCollection(
  system: SystemClient,
  taken: TakenIn,
  library: string,
  name: string,
): Promise<void> {
  const { library_uid } = taken.places[library]!
  const { status, text, body } = await system.call('POST', '/library/api/collections/', { library_uid, name })
  if (status !== 201) throw new Error(`The collection was not created: ${status} ${text}`)
  taken.places[name] = { library_uid, collection_uid: (body as { uid: string }).uid }
}

/** Documents for a library, or for a collection in it. */
export interface Delivery {
  library: string
  collection?: string
  documents: Document[]
  /** What the ids of the documents begin with in the store, where the same come twice. */
  prefix?: string
}

/** Uploads every document that has words, over REST, and waits for the jobs. */
export async function takeIn(
  system: SystemClient,
  taken: TakenIn,
  { library, collection, documents, prefix = '' }: Delivery,
): Promise<void> {
  const files = documents
    .filter(({ title, text }) => `${title}${text}`.trim() !== '')
    .map((document) => fileOf(document, prefix))
  const { collection_uid } = taken.places[collection ?? library]!
  const started = performance.now()
  for (let at = 0; at < files.length; at += UPLOADED_TOGETHER) {
    const some = files.slice(at, at + UPLOADED_TOGETHER)
    const { jobs } = await ingest(system, workspaceOf(library), some, collection_uid)
    for (const { item_uid, source_ref, chunks_created } of jobs) {
      taken.documentOf[item_uid] = source_ref.slice(prefix.length)
      taken.passages += chunks_created
    }
    say(`${collection ?? library}: ${at + some.length} of ${files.length} documents`)
  }
  taken.took += performance.now() - started
}

const workspaceOf = (library: string) => library.slice(0, 64)

function fileOf({ _id, title, text }: Document, prefix: string): SourceFile {
  const content = title === '' ? text : `# ${title}\n\n${text}\n`
  return { name: `${prefix}${_id}`, type: 'text/markdown', content }
}
