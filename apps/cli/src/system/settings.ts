import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { embeddingVariables } from '@mnemosyne/models'
import {
  about,
  BrokerUrl,
  DatabaseUrl,
  GraphUrl,
  LogLevel,
  Port,
  parseConfig,
  s3Variables,
  secret,
  withFormerNames,
} from '@mnemosyne/platform'
import { z } from 'zod'

/**
 * The variables of the process that runs all services: which stores they stand on, and how it is reached. How each
 * service works is read by that service beside it.
 */
export const settingsSchema = z.object({
  MNEMOSYNE_DATA_DIR: about(z.string().default('./data'), 'where everything is kept'),
  MNEMOSYNE_HOST: about(z.string().default('127.0.0.1'), 'address on which the gateway listens'),
  MNEMOSYNE_PORT: about(Port.default(23_181), 'port on which the gateway listens'),
  ...embeddingVariables,
  ...s3Variables,
  DATABASE_URL: DatabaseUrl.optional(),
  AMQP_URL: BrokerUrl.optional(),
  NEO4J_URL: GraphUrl.optional(),
  ASSERTION_KEYS: about(
    secret(z.string().optional()),
    'JWK set of Ed25519 keys with a private part, to sign principals; made at the first start without it',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: about(z.string().optional(), 'where traces go, by OTLP over HTTP'),
  LOGGING_LEVEL: about(LogLevel.default('info'), 'how much is logged'),
})

export type Settings = z.infer<typeof settingsSchema>
export type Env = Record<string, string | undefined>

/** The same wherever a command is given: `data` beside the program. */
const DEFAULT_DATA_DIR = fileURLToPath(new URL('../../../../data', import.meta.url))

/** `--data-dir` wins over the environment. The folder is absolute in the answer. */
export function readSettings(env: Env, options: { dataDir?: string }): Settings {
  const settings = parseConfig('mnemosyne', settingsSchema, withFormerNames(env))
  // npm runs its scripts in the package's folder; INIT_CWD is where the person stands.
  const here = env.INIT_CWD ?? process.cwd()
  const given = options.dataDir ?? env.MNEMOSYNE_DATA_DIR
  return { ...settings, MNEMOSYNE_DATA_DIR: given ? resolve(here, given) : DEFAULT_DATA_DIR }
}
