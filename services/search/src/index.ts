export { type SearchConfig, searchConfig } from './config.ts'
export type { EmbedderState } from './search.ts'
export { type SearchServiceDeps, startSearch } from './start.ts'
