import { type GraphStats, openNeo4jGraph } from '@mnemosyne/graph'
import { DistributedSystem } from '../../distributed-system.ts'
import type { SystemInMode } from '../../mode.ts'
import { graphOf, openStore, surroundings } from '../../stores.ts'

const SERVICES = ['auth', 'library', 'ingest'] as const

/** How many rows, by `service.table`. */
export type Counts = Record<string, number>

export async function rowCounts(system: SystemInMode): Promise<Counts> {
  const counts: Counts = {}
  for (const service of SERVICES) {
    await using store = await openStore(system.databaseUrl(service), service)
    for (const table of await tablesOf(store, service)) {
      counts[`${service}.${table}`] = (await store.read.selectFrom(table).selectAll().execute()).length
    }
  }
  return counts
}

export async function rowsIn<T>(
  system: SystemInMode,
  service: (typeof SERVICES)[number],
  table: string,
): Promise<T[]> {
  await using store = await openStore(system.databaseUrl(service), service)
  return (await store.read.selectFrom(table).selectAll().execute()) as T[]
}

type Store = Awaited<ReturnType<typeof openStore>>

async function tablesOf({ dialect, read }: Store, schema: string): Promise<string[]> {
  if (dialect === 'postgres') {
    const rows = await read
      .selectFrom('information_schema.tables')
      .select('table_name')
      .where('table_schema', '=', schema)
      .execute()
    return rows.map(({ table_name }) => table_name as string)
  }
  const rows = await read.selectFrom('sqlite_master').select('name').where('type', '=', 'table').execute()
  return rows.map(({ name }) => name as string).filter((name) => !name.startsWith('sqlite_'))
}

/** What the graph holds. Ends a system in one process, whose graph nobody else may open. */
export async function graphLeft(system: SystemInMode): Promise<GraphStats> {
  if (!(system instanceof DistributedSystem)) {
    await system.stop()
    return graphOf(system.dataDir)
  }
  await using graph = await openNeo4jGraph({ url: system.servers.neo4jUrl, ...surroundings() })
  return graph.stats()
}
