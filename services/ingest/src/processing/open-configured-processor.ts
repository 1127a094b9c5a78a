import type { Logger, Metrics } from '@mnemosyne/platform'
import type { IngestConfig } from '../config.ts'
import { openProcessor } from './open-processor.ts'
import type { Processor } from './processor.ts'

const MEBIBYTE = 1_048_576

/** The processor with the limits that the configuration sets; it may read `workDir`. */
export function openConfiguredProcessor(
  config: IngestConfig,
  options: { workDir: string; tokenizerDir: string | undefined; log: Logger; metrics: Metrics },
): Processor {
  const { workDir, ...rest } = options
  return openProcessor({
    ...rest,
    size: config.WORKER_CONCURRENCY,
    inputDirs: [workDir],
    limits: {
      timeoutMs: config.INGEST_PARSE_TIMEOUT_SECONDS * 1000,
      maxRssBytes: config.INGEST_PARSE_MEMORY_MB * MEBIBYTE,
      maxInputBytes: config.INGEST_MAX_FILE_BYTES,
      maxOutputBytes: config.INGEST_MAX_FILE_BYTES,
      maxPages: config.INGEST_MAX_PAGES,
    },
  })
}
