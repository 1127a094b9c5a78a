import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { composeProgram, describeProgram } from '@mnemosyne/platform/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  COMPOSE_FILE,
  type ComposeFile,
  type ComposeService,
  exampleNames,
  interpolatedNames,
  NEEDED,
  readComposeFile,
  WITH_EVERY_SECRET,
} from './compose-file.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SERVICES = ['gateway', 'auth', 'library', 'ingest', 'search', 'mcp'] as const
const STORES = ['postgres', 'neo4j', 'rabbitmq', 's3']

/** Which blocks a secret's value may stand in, under whatever name. */
const SECRETS: Record<string, string[]> = {
  'private-key': ['gateway', 'mcp'],
  'sql-password': ['auth', 'ingest', 'init', 'library'],
  'broker-password': ['auth', 'ingest', 'init', 'library'],
  'graph-password': ['ingest', 'init', 'library', 'search'],
  's3-secret': ['ingest', 'init', 's3'],
  'model-key': ['ingest', 'init', 'search'],
  'daedalus-secret': ['ingest'],
  'spelunker-secret': ['ingest'],
  'sql-administrator': ['postgres'],
  'broker-administrator': ['rabbitmq'],
  'graph-administrator': ['neo4j'],
}

/** What a service reads and its block leaves out, with the reason. */
const LEFT_OUT: Record<string, string> = {
  USE_LOCAL_STORAGE: 'blobs of several containers are in a bucket',
  MNEMOSYNE_MODEL_DIR: 'needs a volume with the model',
  EMBEDDING_TOKENIZER_DIR: 'needs a volume with the tokenizer',
  DAEDALUS_STORAGE_DIR: 'needs a volume with the files',
  SPELUNKER_STORAGE_DIR: 'needs a volume with the files',
}

/** Containers that may do what the others may not. */
const WRITABLE_ROOT = ['neo4j']
const RUN_AS_ROOT = ['s3']
const WITHOUT_HEALTH_CHECK = ['init', 'nginx-exporter']

/** `NAME=value` lines that a service prints when it is started with `env` and nothing else. */
async function printConfig(service: string, env: Record<string, string>): Promise<string[]> {
  const main = `services/${service}/src/main.ts`
  const { stdout } = await promisify(execFile)(process.execPath, [main, '--print-config'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
  })
  return [...stdout.matchAll(/^([A-Z0-9_]+)=/gm)].map(([, name]) => name as string)
}

const environmentOf = (service: ComposeService | undefined) =>
  (service?.environment ?? {}) as Record<string, string>

await describeProgram('deploy/compose', composeProgram, (program) => {
  let file: ComposeFile
  let services: [string, ComposeService][]

  beforeAll(async () => {
    file = await readComposeFile(program, WITH_EVERY_SECRET, { profiles: ['stores'] })
    services = Object.entries(file.services)
  })

  test('compose accepts it, with the stores of the profile only where they are asked for', async () => {
    const plain = await readComposeFile(program, NEEDED)
    expect(Object.keys(plain.services).sort()).toEqual(
      ['init', 'nginx', 'nginx-exporter', ...SERVICES].sort(),
    )
    expect(Object.keys(file.services).sort()).toEqual([...Object.keys(plain.services), ...STORES].sort())
  })

  test.for(Object.keys(NEEDED))('without %s it is refused with a reason', async (name) => {
    const refused = readComposeFile(program, { ...NEEDED, [name]: undefined })
    await expect(refused).rejects.toThrow(new RegExp(`required variable ${name} is missing a value: .{10}`))
  })

  test('.env.example names every variable of the file, and no other', async () => {
    const [names, example] = await Promise.all([interpolatedNames(), exampleNames()])
    const settings = new Set(example.filter((name) => name !== 'COMPOSE_PROFILES'))
    expect([...settings].sort()).toEqual([...names].sort())
  })

  describe('least privilege', () => {
    test.for(Object.entries(SECRETS))('%s is known to %j alone', ([secret, holders]) => {
      const found = services.filter(([, service]) => JSON.stringify(service).includes(secret))
      expect(found.map(([name]) => name).sort()).toEqual(holders)
    })

    test('no environment is shared', async () => {
      expect(await readFile(COMPOSE_FILE, 'utf8')).not.toMatch(/env_file|environment: [&*]|environment:\s+<</)
    })

    test.for(SERVICES)(
      '%s starts on its block, reads all of it, and lacks nothing that it could read',
      async (name) => {
        const block = environmentOf(file.services[name])
        const read = await printConfig(name, block)
        expect(Object.keys(block).filter((variable) => !read.includes(variable))).toEqual([])
        expect(read.filter((variable) => !(variable in block) && !(variable in LEFT_OUT))).toEqual([])
      },
    )

    test('init knows only what some service knows, by the same value', () => {
      const known = SERVICES.map((name) => environmentOf(file.services[name]))
      for (const [variable, value] of Object.entries(environmentOf(file.services.init))) {
        expect(
          known.some((block) => block[variable] === value),
          variable,
        ).toBe(true)
      }
    })

    test('who has no business with the stores cannot reach them', () => {
      const onTheirNetwork = services.filter(([, { networks = {} }]) => 'stores' in networks)
      const expected = ['auth', 'ingest', 'init', 'library', 'search', ...STORES]
      expect(onTheirNetwork.map(([name]) => name).sort()).toEqual(expected.sort())
      expect(file.networks.services?.internal).toBe(true)
    })
  })

  test('no service starts before init has ended well; nothing in front starts before the services', () => {
    for (const name of SERVICES) {
      expect(file.services[name]?.depends_on?.init, name).toEqual({
        condition: 'service_completed_successfully',
        required: true,
      })
    }
    expect(file.services.init).toMatchObject({
      restart: 'no',
      command: ['node', 'apps/cli/src/main.ts', 'setup'],
    })
    expect(Object.keys(file.services.nginx?.depends_on ?? {}).sort()).toEqual(['gateway', 'mcp'])
    expect(Object.keys(file.services['nginx-exporter']?.depends_on ?? {})).toEqual(['nginx'])
  })

  test('init waits for the stores of the profile, and does without them elsewhere', () => {
    const waits = { condition: 'service_healthy', required: false }
    expect(file.services.init?.depends_on).toEqual({
      postgres: waits,
      rabbitmq: waits,
      neo4j: waits,
      s3: waits,
    })
  })

  test('only nginx is published, and its exporter to this host', () => {
    const published = services.flatMap(([name, { ports = [] }]) =>
      ports.map(({ host_ip, published }) => `${name} ${host_ip}:${published}`),
    )
    expect(published.sort()).toEqual(['nginx 0.0.0.0:23181', 'nginx-exporter 127.0.0.1:23191'])
  })

  test('every service is called where it listens', () => {
    const ports = Object.fromEntries(
      SERVICES.map((name) => [name, environmentOf(file.services[name]).LISTEN_PORT as string]),
    )
    for (const [name, service] of services) {
      for (const [variable, value] of Object.entries(environmentOf(service))) {
        const called = /^(?:NGINX_)?(GATEWAY|AUTH|LIBRARY|INGEST|SEARCH|MCP)(?:_URL)?$/.exec(variable)?.[1]
        if (!called) continue
        const peer = called.toLowerCase()
        expect(value.replace('http://', ''), `${variable} of ${name}`).toBe(`${peer}:${ports[peer]}`)
        const shared = Object.keys(service.networks ?? {}).filter(
          (network) => network in (file.services[peer]?.networks ?? {}),
        )
        expect(shared, `a network of ${name} and ${peer}`).not.toEqual([])
      }
    }
  })

  test('every container is confined', () => {
    for (const [name, service] of services) {
      expect(service, name).toMatchObject({
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        init: true,
        stop_grace_period: STORES.includes(name) ? '1m0s' : '15s',
        logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '5' } },
      })
      expect(service.restart, name).toBe(name === 'init' ? 'no' : 'unless-stopped')
      expect(Number(service.deploy?.resources?.limits?.memory), name).toBeGreaterThan(0)
      expect(service.deploy?.resources?.limits?.pids, name).toBeGreaterThan(0)
      expect(service.read_only ?? false, `read-only root of ${name}`).toBe(!WRITABLE_ROOT.includes(name))
      expect(/^(0|root)(:|$)/.test(service.user ?? 'root'), `root in ${name}`).toBe(
        RUN_AS_ROOT.includes(name),
      )
      expect(service.privileged ?? service.cap_add, name).toBeUndefined()
      const checked = service.healthcheck?.disable !== true && service.healthcheck !== undefined
      expect(checked, `health check of ${name}`).toBe(!WITHOUT_HEALTH_CHECK.includes(name))
    }
  })

  test('services can be multiplied: no fixed name, no port of the host, no folder of the host', () => {
    for (const name of SERVICES) {
      const { container_name, ports, volumes = [] } = file.services[name] as ComposeService
      expect({ container_name, ports }, name).toEqual({})
      expect(
        volumes.every(({ type }) => type === 'volume'),
        name,
      ).toBe(true)
    }
  })

  test('ingest has a disk for its files in hand, each container its own', () => {
    const { volumes = [], tmpfs = [] } = file.services.ingest as ComposeService
    const own = volumes.find(({ target }) => target === '/tmp')
    expect(own).toMatchObject({ type: 'volume' })
    expect(own?.source).toBeUndefined()
    expect(tmpfs).toEqual([])
  })

  test('nginx is handed every variable of its template', async () => {
    const template = await readFile(`${ROOT}deploy/nginx/nginx.conf.template`, 'utf8')
    const names = [...template.matchAll(/\$\{(NGINX_[A-Z_]+)\}/g)].map(([, name]) => name as string)
    const handed = Object.keys(environmentOf(file.services.nginx))
    expect([...new Set(names)].filter((name) => !handed.includes(name))).toEqual([])
  })
})
