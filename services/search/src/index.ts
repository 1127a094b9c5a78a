export { type SearchConfig, searchConfig, searchProcessConfig } from './config.ts'
export type { EmbedderState } from './search.ts'
export { type SearchServiceDeps, startSearch } from './start.ts'
