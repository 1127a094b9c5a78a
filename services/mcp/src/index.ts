export { type McpConfig, mcpConfig, mcpProcessConfig } from './config.ts'
export type { Dependencies, Health } from './health.ts'
export { type McpServiceDeps, startMcp } from './start.ts'
