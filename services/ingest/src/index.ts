export { type IngestConfig, ingestConfig } from './config.ts'
export { type IngestDeps, startIngest } from './service.ts'
