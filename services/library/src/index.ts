export { type LibraryConfig, libraryConfig } from './config.ts'
export { type LibraryDeps, startLibrary } from './start.ts'
export type { LibraryTables } from './store/tables.ts'
