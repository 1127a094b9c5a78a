import { about, Flag } from '@mnemosyne/platform'
import { z } from 'zod'

export const mcpConfig = z.object({
  MCP_REQUIRE_AUTH: about(
    Flag.default(true),
    'False: a call without a credential is served, and sees no library.',
  ),
})
export type McpConfig = z.infer<typeof mcpConfig>
