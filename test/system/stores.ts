import { join } from 'node:path'
import { type GraphStats, openEmbeddedGraph } from '@mnemosyne/graph'
import { createLog, createRegistry, Metrics, openSql, systemClock } from '@mnemosyne/platform'

type Tables = Record<string, Record<string, unknown>>

const around = () => ({
  log: createLog({ component: 'test', level: 'silent' }),
  metrics: new Metrics(createRegistry(), 'test'),
  clock: systemClock,
})

/** Rows of a service's table, in PostgreSQL or in the data folder of a system that has ended. */
export async function rowsOf<T = Record<string, unknown>>(
  dataDir: string,
  service: 'auth' | 'library' | 'ingest',
  table: string,
  databaseUrl = `sqlite:${join(dataDir, `${service}.db`)}`,
): Promise<T[]> {
  await using store = await openSql<Tables>(databaseUrl, { schema: service, ...around() })
  return (await store.read.selectFrom(table).selectAll().execute()) as T[]
}

/** What the graph of a system that has ended holds. */
export async function graphOf(dataDir: string): Promise<GraphStats> {
  await using graph = await openEmbeddedGraph({ file: join(dataDir, 'graph.db'), ...around() })
  return graph.stats()
}

/** A document in Markdown of about `passages` passages, none of whose sentences stands in another one. */
export function inventedDocument(name: string, passages: number): string {
  const sections = Array.from({ length: passages }, (_, at) => {
    const sentences = Array.from(
      { length: 11 },
      (_, n) =>
        `Entry ${name}-${at}-${n} tells that keeper ${(at * 31 + n * 7) % 97} of the ${name} light trimmed lamp ${at * 11 + n} before the tide turned.`,
    )
    return `## Watch ${at} of ${name}\n\n${sentences.join(' ')}`
  })
  return `# Log of the ${name} light\n\n${sections.join('\n\n')}\n`
}
