import { about, LogLevel, secret } from '@mnemosyne/platform'
import { z } from 'zod'

/** The variables of the library service. */
export const libraryConfig = z.object({
  DATABASE_URL: secret(
    about(z.string().optional(), 'postgres://… or sqlite:FILE; without it a file in the data folder'),
  ),
  AMQP_URL: secret(about(z.string().optional(), 'amqp://…; without it the bus of the process')),
  ASSERTION_KEYS: secret(
    about(z.string().optional(), 'JWK set of the public keys by which callers are verified'),
  ),
  LOGGING_LEVEL: LogLevel.default('info'),
})
export type LibraryConfig = z.infer<typeof libraryConfig>
