import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const FOLDER = fileURLToPath(new URL('../../deploy/compose/', import.meta.url))
export const COMPOSE_FILE = join(FOLDER, 'compose.yaml')
export const ENV_EXAMPLE = join(FOLDER, '.env.example')

/** A service as compose understands it. */
export interface ComposeService {
  command?: string[]
  environment?: Record<string, string | null>
  depends_on?: Record<string, { condition: string; required: boolean }>
  ports?: { published: string; target: number; host_ip?: string }[]
  networks?: Record<string, unknown>
  volumes?: { type: string; source?: string; target: string; read_only?: boolean }[]
  healthcheck?: { disable?: boolean; test?: string[] }
  logging?: { driver: string; options: Record<string, string> }
  deploy?: { resources?: { limits?: { memory?: string; pids?: number } } }
  image: string
  user?: string
  read_only?: boolean
  tmpfs?: string[]
  cap_drop?: string[]
  cap_add?: string[]
  security_opt?: string[]
  privileged?: boolean
  container_name?: string
  restart?: string
  stop_grace_period?: string
  init?: boolean
  profiles?: string[]
}

export interface ComposeFile {
  services: Record<string, ComposeService>
  networks: Record<string, { internal?: boolean }>
}

const keySet = (key: Record<string, string>) =>
  `'${JSON.stringify({ keys: [{ kty: 'OKP', crv: 'Ed25519', kid: 'k', x: 'public-part', ...key }] })}'`

/** What somebody writes into `.env`: just what is needed, each secret with a word by which it is found again. */
export const NEEDED: Readonly<Record<string, string>> = {
  MNEMOSYNE_IMAGE: 'mnemosyne:test',
  ALLOWED_HOSTS: 'memory.example.org',
  ASSERTION_PRIVATE_KEYS: keySet({ d: 'private-key' }),
  ASSERTION_PUBLIC_KEYS: keySet({}),
  DATABASE_URL: 'postgres://user:sql-password@postgres.example.org:5432/mnemosyne',
  AMQP_URL: 'amqp://user:broker-password@rabbitmq.example.org:5672/mnemosyne',
  NEO4J_URL: 'bolt://neo4j:graph-password@neo4j.example.org:7687',
  AWS_S3_ENDPOINT_URL: 'https://s3.example.org',
  AWS_ACCESS_KEY_ID: 'access',
  AWS_SECRET_ACCESS_KEY: 's3-secret',
}

/** Everything of `NEEDED`, and the secrets that may be set beside. */
export const WITH_EVERY_SECRET: Readonly<Record<string, string>> = {
  ...NEEDED,
  EMBEDDING_BASE_URL: 'https://models.example.org/v1',
  EMBEDDING_MODEL: 'some-model',
  EMBEDDING_API_KEY: 'model-key',
  DAEDALUS_S3_ENDPOINT_URL: 'https://s3.daedalus.example.org',
  DAEDALUS_S3_ACCESS_KEY_ID: 'daedalus',
  DAEDALUS_S3_SECRET_ACCESS_KEY: 'daedalus-secret',
  SPELUNKER_S3_ENDPOINT_URL: 'https://s3.spelunker.example.org',
  SPELUNKER_S3_ACCESS_KEY_ID: 'spelunker',
  SPELUNKER_S3_SECRET_ACCESS_KEY: 'spelunker-secret',
  POSTGRES_PASSWORD: 'sql-administrator',
  RABBITMQ_PASSWORD: 'broker-administrator',
  NEO4J_PASSWORD: 'graph-administrator',
}

/** What `docker compose config` makes of the file with this `.env`. Rejects with what compose says when it refuses. */
export async function readComposeFile(
  program: string,
  variables: Record<string, string | undefined>,
  options: { profiles?: string[] } = {},
): Promise<ComposeFile> {
  const dir = await mkdtemp(join(tmpdir(), 'mnemosyne-compose-'))
  try {
    const envFile = join(dir, '.env')
    const lines = Object.entries(variables).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    )
    await writeFile(envFile, lines.join('\n'))
    const profiles = (options.profiles ?? []).flatMap((profile) => ['--profile', profile])
    const { stdout } = await promisify(execFile)(
      program,
      ['--env-file', envFile, ...profiles, '-f', COMPOSE_FILE, 'config', '--format', 'json'],
      { env: { PATH: process.env.PATH, HOME: dir }, maxBuffer: 1 << 24 },
    )
    return JSON.parse(stdout)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Names that stand in `${…}` in compose.yaml. */
export async function interpolatedNames(): Promise<Set<string>> {
  const text = await readFile(COMPOSE_FILE, 'utf8')
  return new Set([...text.matchAll(/\$\{([A-Z0-9_]+)/g)].map(([, name]) => name as string))
}

/** Names that `.env.example` sets, or would once the line is uncommented. */
export async function exampleNames(): Promise<string[]> {
  const text = await readFile(ENV_EXAMPLE, 'utf8')
  return [...text.matchAll(/^#?([A-Z0-9_]+)=/gm)].map(([, name]) => name as string)
}
