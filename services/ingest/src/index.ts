export {
  blobsOf,
  briefOf,
  ingestSchema,
  type JobBrief,
  jobBriefs,
  jobsByItem,
  resumeJobs,
  rowsOfItem,
  stateOf,
} from './backup.ts'
export { type IngestConfig, ingestConfig, ingestProcessConfig } from './config.ts'
export { forget } from './forget.ts'
export { openConfiguredProcessor } from './processing/open-configured-processor.ts'
export { type RebuiltItem, rebuildItems } from './rebuild.ts'
export { type IngestDeps, startIngest } from './service.ts'
export { openSources } from './sources.ts'
export type { IngestTables } from './store/tables.ts'
