import { about, Count, processVariables, ServiceUrls } from '@mnemosyne/platform'
import { z } from 'zod'
import { isAddressOrNetwork } from './client-address.ts'

const ONE_GIBIBYTE = 1_073_741_824

/** Written by comma. */
const listOf = (entry: z.ZodString) =>
  z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((part) => part.trim().toLowerCase())
        .filter((part) => part !== ''),
    )
    .pipe(z.array(entry))

const HostList = listOf(
  z.string().regex(/^(\*|\.?[a-z0-9.-]+|\[[0-9a-f:.]+\])$/, 'must be host names without port'),
)
const ProxyList = listOf(
  z.string().refine(isAddressOrNetwork, 'must be IP addresses, or networks such as 10.0.0.0/8'),
)
const OriginList = listOf(
  z
    .string()
    .regex(
      /^https?:\/\/(\*\.)?([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d+)?$/,
      'must be origins such as https://app.example.org or https://*.example.org',
    ),
)

export const gatewayConfig = z.object({
  ALLOWED_HOSTS: about(
    HostList.optional(),
    'Host names that requests may be addressed to, by comma; ".example.org" includes its subdomains. Unset or *: any.',
  ),
  TRUSTED_PROXIES: about(
    ProxyList.optional(),
    'Addresses and networks, by comma, of proxies whose X-Forwarded-For is believed. Unset: nobody is.',
  ),
  CSRF_TRUSTED_ORIGINS: about(
    OriginList.optional(),
    'Origins beside our own, by comma, whose pages may sign in and write by session; "https://*.example.org" means all its subdomains.',
  ),
  GOLDEN_QUERIES_EVERY_HOURS: about(
    z.coerce.number().int().min(0).max(8_760).default(24),
    "Hours after which a library's golden queries are replayed again. 0: only when somebody asks.",
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
