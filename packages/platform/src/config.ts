import { z } from 'zod'

/** A boolean variable: True, true, 1, yes, on and their opposites. */
export const Flag = z
  .string()
  .transform((text) => text.trim().toLowerCase())
  .pipe(z.enum(['true', '1', 'yes', 'on', 'false', '0', 'no', 'off'], 'must be true or false'))
  .transform((text) => ['true', '1', 'yes', 'on'].includes(text))

export const Port = z.coerce.number().int().min(0).max(65_535)
export const Count = z.coerce.number().int().min(1)
export const LogLevel = z
  .string()
  .transform((text) => text.toLowerCase())
  .pipe(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']))

/** Marks a variable whose value is never printed. */
export const secret = <T extends z.ZodType>(schema: T): T => schema.meta({ secret: true }) as T

/** A variable's meaning, for `--print-config`. */
export const about = <T extends z.ZodType>(schema: T, description: string): T =>
  schema.meta({ ...schema.meta(), description }) as T

/** Variables that several processes read, each of its own accord. */
export const DatabaseUrl = secret(
  about(
    z.string(),
    'postgres://USER:PASSWORD@HOST:PORT/DATABASE; each service has a schema of its name in it',
  ),
)
export const BrokerUrl = secret(about(z.string(), 'RabbitMQ, amqp://USER:PASSWORD@HOST:PORT/VHOST'))
export const GraphUrl = secret(about(z.string(), 'Neo4j, bolt://USER:PASSWORD@HOST:PORT'))

/** The variable with which a service is told where another one listens. */
export const ServiceUrls = (service: string) =>
  about(
    z
      .string()
      .refine(
        (text) => text.split(',').every((url) => /^https?:$/.test(URL.parse(url.trim())?.protocol ?? '')),
        'must be http://HOST:PORT, several separated by commas',
      ),
    `where the ${service} service listens; several addresses by comma`,
  )

export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID'
  readonly faults: string[]

  constructor(service: string, faults: string[]) {
    super(
      `The configuration of ${service} cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    )
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/**
 * Reads from `env` the variables that `schema` names and nothing else. An empty variable counts as unset.
 * Throws one ConfigError that lists every fault; it never quotes a value, since that may be a secret.
 */
export function parseConfig<S extends z.ZodObject>(
  service: string,
  schema: S,
  env: Record<string, string | undefined>,
): z.infer<S> {
  const own = Object.fromEntries(
    Object.keys(schema.shape).flatMap((name) => (env[name] ? [[name, env[name]]] : [])),
  )
  const parsed = schema.safeParse(own)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => {
    // Of a list, the variable and not the entry.
    const name = String(issue.path[0] ?? '')
    return own[name] === undefined ? `${name} is missing` : `${name}: ${issue.message}`
  })
  throw new ConfigError(service, [...new Set(faults)])
}

/** `NAME=value` lines of a parsed configuration, secrets masked. */
export function printConfig<S extends z.ZodObject>(schema: S, config: z.infer<S>): string {
  return Object.entries(schema.shape)
    .map(([name, field]) => {
      const value = (config as Record<string, unknown>)[name]
      const shown = value === undefined ? '' : isSecret(field) ? '********' : String(value)
      return `${name}=${shown}`
    })
    .join('\n')
}

function isSecret(field: unknown): boolean {
  if (!(field instanceof z.ZodType)) return false
  if ((field.meta() as { secret?: boolean } | undefined)?.secret) return true
  return 'unwrap' in field && typeof field.unwrap === 'function' ? isSecret(field.unwrap()) : false
}

const GONE = ['KVDB_', 'CELERY_RESULT_BACKEND', 'CELERY_TASK_ALWAYS_EAGER', 'DJANGO_LOGGING_LEVEL']

/** Names of variables in `env` that once meant something and are ignored now. */
export function goneVariables(env: Record<string, string | undefined>): string[] {
  return Object.keys(env).filter((name) =>
    GONE.some((gone) => (gone.endsWith('_') ? name.startsWith(gone) : name === gone)),
  )
}

const FORMER_NAMES = { NEO4J_URL: 'NEOMODEL_NEO4J_BOLT_URL', AMQP_URL: 'CELERY_BROKER_URL' }

/**
 * `env` with what is set under a former name only, and with DATABASE_URL made of its five parts (APP_DB_NAME,
 * APP_DB_USER, APP_DB_PASSWORD, DB_HOST, DB_PORT) where it is not set itself.
 */
export function withFormerNames(env: Record<string, string | undefined>): Record<string, string | undefined> {
  const named = { ...env }
  for (const [name, former] of Object.entries(FORMER_NAMES)) named[name] ||= env[former]
  named.DATABASE_URL ||= databaseUrlOf(env)
  return named
}

function databaseUrlOf(env: Record<string, string | undefined>): string | undefined {
  const { APP_DB_NAME, APP_DB_USER, APP_DB_PASSWORD, DB_HOST, DB_PORT = '5432' } = env
  if (!APP_DB_NAME || !APP_DB_USER || !DB_HOST) return undefined
  const account = [APP_DB_USER, ...(APP_DB_PASSWORD ? [APP_DB_PASSWORD] : [])]
    .map(encodeURIComponent)
    .join(':')
  return `postgres://${account}@${DB_HOST}:${DB_PORT}/${encodeURIComponent(APP_DB_NAME)}`
}
