import { about, LogLevel, secret } from '@mnemosyne/platform'
import { z } from 'zod'

export const authConfig = z.object({
  DATABASE_URL: about(
    secret(z.string().optional()),
    'PostgreSQL of the schema "auth". Embedded: a SQLite file in the data folder.',
  ),
  AMQP_URL: about(secret(z.string().optional()), 'RabbitMQ. Embedded: the bus of the process.'),
  ASSERTION_KEYS: about(
    secret(z.string().optional()),
    'JWK set of Ed25519 public keys, to verify principals. Embedded: made at start.',
  ),
  LOGGING_LEVEL: about(LogLevel.default('info'), 'Least level that is logged.'),
})
export type AuthConfig = z.infer<typeof authConfig>
