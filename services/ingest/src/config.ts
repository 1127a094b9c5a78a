import { about, Count, LogLevel, secret } from '@mnemosyne/platform'
import { z } from 'zod'

const MEBIBYTE = 1_048_576

/** The variables of the ingest service. */
export const ingestConfig = z.object({
  DATABASE_URL: secret(
    about(z.string().optional(), 'postgres://… or sqlite:FILE; without it a file in the data folder'),
  ),
  AMQP_URL: secret(about(z.string().optional(), 'amqp://…; without it the bus of the process')),
  ASSERTION_KEYS: secret(
    about(z.string().optional(), 'JWK set of the public keys by which callers are verified'),
  ),
  DAEDALUS_STORAGE_DIR: about(z.string().optional(), "folder that holds Daedalus's files, read only"),
  SPELUNKER_STORAGE_DIR: about(z.string().optional(), "folder that holds Spelunker's files, read only"),
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
  LOGGING_LEVEL: LogLevel.default('info'),
})
export type IngestConfig = z.infer<typeof ingestConfig>
