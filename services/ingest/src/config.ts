import { embeddingVariables } from '@mnemosyne/models'
import {
  about,
  BrokerUrl,
  Count,
  DatabaseUrl,
  GraphUrl,
  processVariables,
  ServiceUrls,
  s3SourceVariables,
  s3Variables,
} from '@mnemosyne/platform'
import { z } from 'zod'

const MEBIBYTE = 1_048_576

const FORMER_QUEUES: Record<string, string> = { celery: 'default' }

/** The last part of the queues' names: `embedding` of `ingest.embedding`. */
const WorkerQueues = z
  .string()
  .transform((text) => text.split(',').map((name) => FORMER_QUEUES[name.trim()] ?? name.trim()))
  .pipe(z.array(z.enum(['embedding', 'batch', 'default'], 'must be embedding, batch or default, by comma')))

/** The variables of the ingest service, in one process with the others or not. */
export const ingestConfig = z.object({
  ...s3SourceVariables('DAEDALUS'),
  ...s3SourceVariables('SPELUNKER'),
  DAEDALUS_STORAGE_DIR: about(z.string().optional(), "folder that holds Daedalus's files, read only"),
  SPELUNKER_STORAGE_DIR: about(z.string().optional(), "folder that holds Spelunker's files, read only"),
  WORKER_QUEUES: about(
    WorkerQueues.default(['embedding', 'batch', 'default']),
    'queues whose work is done here, by comma',
  ),
  WORKER_CONCURRENCY: about(Count.default(2), 'jobs in hand at once'),
  EMBEDDING_BATCH_SIZE: about(Count.default(8), 'passages embedded and kept at once'),
  INGEST_MAX_FILE_BYTES: about(Count.default(256 * MEBIBYTE), 'largest file that is taken in'),
  INGEST_MAX_PAGES: about(Count.default(5000), 'pages of a document that are read'),
  INGEST_PARSE_TIMEOUT_SECONDS: about(Count.default(120), 'time that one file may take to be parsed and cut'),
  INGEST_PARSE_MEMORY_MB: about(Count.default(1536), 'memory that a parser process may take'),
  INGEST_RETRIES: about(z.coerce.number().int().min(0).default(3), 'retries after a passing fault'),
  INGEST_RETRY_FIRST_SECONDS: about(
    z.coerce.number().min(0).default(60),
    'wait before the first retry; doubles',
  ),
  INGEST_RETRY_MAX_SECONDS: about(z.coerce.number().min(0).default(600), 'longest wait before a retry'),
  INGEST_LEASE_SECONDS: about(
    Count.default(60),
    'after this time without a sign of life a job is taken over',
  ),
})
export type IngestConfig = z.infer<typeof ingestConfig>

/** The variables of ingest as a process of its own. */
export const ingestProcessConfig = ingestConfig.extend({
  ...processVariables(23_184),
  ...embeddingVariables,
  ...s3Variables,
  DATABASE_URL: DatabaseUrl,
  AMQP_URL: BrokerUrl,
  NEO4J_URL: GraphUrl,
  LIBRARY_URL: ServiceUrls('library'),
})
