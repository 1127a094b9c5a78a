import type { AuthTables } from '@mnemosyne/auth'
import { type GraphStore, openEmbeddedGraph, openNeo4jGraph } from '@mnemosyne/graph'
import type { IngestTables } from '@mnemosyne/ingest'
import type { LibraryTables } from '@mnemosyne/library'
import {
  type BlobStore,
  type Clock,
  type DataFolder,
  type Logger,
  type Metrics,
  openFolderBlobs,
  openS3Blobs,
  openSql,
  type Sql,
  s3Location,
} from '@mnemosyne/platform'
import type { Settings } from './settings.ts'

/** What is kept, whichever adapters keep it. */
export interface Stores {
  sql: { auth: Sql<AuthTables>; library: Sql<LibraryTables>; ingest: Sql<IngestTables> }
  graph: GraphStore
  blobs: BlobStore
}

export interface StoreOptions {
  /** For what no server is named for. */
  folder: DataFolder
  logOf: (component: string) => Logger
  metricsOf: (component: string) => Metrics
  clock: Clock
  /** Closes the stores; also when a later one cannot be opened. */
  closing: AsyncDisposableStack
}

/** Opens the stores that the settings name; without a name each is a file or a folder of the data folder. */
export async function openStores(settings: Settings, options: StoreOptions): Promise<Stores> {
  const { folder, logOf, metricsOf, clock, closing } = options
  const around = { log: logOf('mnemosyne'), metrics: metricsOf('mnemosyne'), clock }
  const openStore = async <DB>(service: 'auth' | 'library' | 'ingest'): Promise<Sql<DB>> => {
    const url = settings.DATABASE_URL ?? `sqlite:${folder.path(`${service}.db`)}`
    return closing.use(
      await openSql<DB>(url, { schema: service, log: logOf(service), metrics: metricsOf(service), clock }),
    )
  }
  const graph = closing.use(
    settings.NEO4J_URL
      ? await openNeo4jGraph({ url: settings.NEO4J_URL, ...around })
      : await openEmbeddedGraph({ file: folder.path('graph.db'), ...around }),
  )
  const bucket = s3Location('mnemosyne', settings)
  const blobs = closing.use(
    bucket ? await openS3Blobs({ ...bucket, ...around }) : await openFolderBlobs(folder.path('blobs')),
  )
  return {
    graph,
    blobs,
    sql: {
      auth: await openStore<AuthTables>('auth'),
      library: await openStore<LibraryTables>('library'),
      ingest: await openStore<IngestTables>('ingest'),
    },
  }
}
