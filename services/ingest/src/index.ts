export { type IngestConfig, ingestConfig } from './config.ts'
export { openProcessor } from './processing/open-processor.ts'
export { type IngestDeps, startIngest } from './service.ts'
export type { IngestTables } from './store/tables.ts'
