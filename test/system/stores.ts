import { join } from 'node:path'
import { type GraphStats, openEmbeddedGraph } from '@mnemosyne/graph'
import {
  createLog,
  createRegistry,
  Metrics,
  openSql,
  type S3Location,
  type Sql,
  s3Location,
  systemClock,
} from '@mnemosyne/platform'
import type { S3Bucket } from '@mnemosyne/platform/testing'

type Tables = Record<string, Record<string, unknown>>

/** What every adapter is given beside its address. */
export const surroundings = () => ({
  log: createLog({ component: 'test', level: 'silent' }),
  metrics: new Metrics(createRegistry(), 'test'),
  clock: systemClock,
})

/** A bucket as the adapters take it. */
export function locationOf({ endpoint, region, bucket, accessKeyId, secretAccessKey }: S3Bucket): S3Location {
  return s3Location('test', {
    USE_LOCAL_STORAGE: false,
    AWS_S3_ENDPOINT_URL: endpoint,
    AWS_S3_REGION_NAME: region,
    AWS_STORAGE_BUCKET_NAME: bucket,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_S3_USE_SSL: false,
    AWS_S3_VERIFY: true,
  })!
}

/** A service's database, to look into or to change as no client can. */
export function openStore(url: string, service: 'auth' | 'library' | 'ingest'): Promise<Sql<Tables>> {
  return openSql<Tables>(url, { schema: service, ...surroundings() })
}

/** Rows of a service's table, in PostgreSQL or in the data folder of a system that has ended. */
export async function rowsOf<T = Record<string, unknown>>(
  dataDir: string,
  service: 'auth' | 'library' | 'ingest',
  table: string,
  databaseUrl = `sqlite:${join(dataDir, `${service}.db`)}`,
): Promise<T[]> {
  await using store = await openStore(databaseUrl, service)
  return (await store.read.selectFrom(table).selectAll().execute()) as T[]
}

/** What the graph of a system that has ended holds. */
export async function graphOf(dataDir: string): Promise<GraphStats> {
  await using graph = await openEmbeddedGraph({ file: join(dataDir, 'graph.db'), ...surroundings() })
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
