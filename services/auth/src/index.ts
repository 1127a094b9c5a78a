export type { AuthAdmin } from './admin.ts'
export { type AuthConfig, authConfig } from './config.ts'
export type { AuthTables } from './schema.ts'
export { type AuthDeps, startAuth } from './service.ts'
