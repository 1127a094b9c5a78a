import { about, Count, LogLevel, secret } from '@mnemosyne/platform'
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
  ASSERTION_KEYS: about(
    secret(z.string().optional()),
    'JWK set of Ed25519 keys with a private part, to sign principals. Embedded: made at start.',
  ),
  LOGGING_LEVEL: about(LogLevel.default('info'), 'Least level that is logged.'),
})
export type GatewayConfig = z.infer<typeof gatewayConfig>
