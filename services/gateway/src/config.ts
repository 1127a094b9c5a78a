import { about, Count, processVariables, ServiceUrls } from '@mnemosyne/platform'
import { z } from 'zod'

const ONE_GIBIBYTE = 1_073_741_824

const HostList = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((host) => host.trim().toLowerCase())
      .filter((host) => host !== ''),
  )
  .pipe(z.array(z.string().regex(/^(\*|\.?[a-z0-9.-]+|\[[0-9a-f:.]+\])$/, 'must be host names without port')))

export const gatewayConfig = z.object({
  ALLOWED_HOSTS: about(
    HostList.optional(),
    'Host names that requests may be addressed to, by comma; ".example.org" includes its subdomains. Unset or *: any.',
  ),
  UPLOAD_MAX_BYTES: about(Count.default(ONE_GIBIBYTE), 'Largest upload in bytes.'),
})
export type GatewayConfig = z.infer<typeof gatewayConfig>

/** The variables of the gateway as a process of its own: it has no store and no broker. */
export const gatewayProcessConfig = gatewayConfig.extend({
  ...processVariables(23_181),
  AUTH_URL: ServiceUrls('auth'),
  LIBRARY_URL: ServiceUrls('library'),
  INGEST_URL: ServiceUrls('ingest'),
  SEARCH_URL: ServiceUrls('search'),
  MCP_URL: ServiceUrls('mcp'),
})
