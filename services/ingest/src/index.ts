export {
  blobsOf,
  ingestSchema,
  type JobBrief,
  jobBriefs,
  rowsOfItem,
  stateOf,
} from './backup.ts'
export { type IngestConfig, ingestConfig, ingestProcessConfig } from './config.ts'
export { openConfiguredProcessor } from './processing/open-configured-processor.ts'
export { type RebuiltItem, rebuildItems } from './rebuild.ts'
export { type IngestDeps, startIngest } from './service.ts'
export { openSources } from './sources.ts'
export type { IngestTables } from './store/tables.ts'
