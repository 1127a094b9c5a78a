import { about, Flag, processVariables, ServiceUrls } from '@mnemosyne/platform'
import { z } from 'zod'

export const mcpConfig = z.object({
  MCP_REQUIRE_AUTH: about(
    Flag.default(true),
    'False: a call without a credential is served, and sees no library.',
  ),
})
export type McpConfig = z.infer<typeof mcpConfig>

/** The variables of mcp as a process of its own: it has no store, no broker, and no key of a model's provider. */
export const mcpProcessConfig = mcpConfig.extend({
  ...processVariables(23_186),
  AUTH_URL: ServiceUrls('auth'),
  LIBRARY_URL: ServiceUrls('library'),
  SEARCH_URL: ServiceUrls('search'),
  INGEST_URL: ServiceUrls('ingest'),
})
