import { PRINCIPAL_HEADER, type ServiceName, servicePrincipal } from '@mnemosyne/contracts'
import {
  type AssertionKeySets,
  type AssertionKeys,
  createSigner,
  httpUpstream,
  type Listener,
  listen,
  parseAssertionKeys,
} from '@mnemosyne/platform'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { ServiceProcess } from '../../../scripts/distributed/service-process.ts'
import { SystemClient } from '../client.ts'
import { DistributedSystem } from '../distributed-system.ts'
import { mnemosyne } from '../harness.ts'
import { inventedDocument } from '../stores.ts'

// Twelve processes, each restarted two or three times, on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 480_000 })

const SIGNERS: readonly ServiceName[] = ['gateway', 'mcp']

let system: DistributedSystem
let library_uid: string
let job: string
const fronts: Listener[] = []
/** Before both gateways and before both mcp processes stands what nginx is in a deployment: it tries the next. */
let rest: SystemClient
let mcpPastGateway: SystemClient

beforeAll(async () => {
  system = await DistributedSystem.start({
    replicas: { gateway: 2, auth: 2, library: 2, search: 2, ingest: 2, mcp: 2 },
    // Words are enough here, and a process without a model is there at once.
    env: { MNEMOSYNE_MODEL_DIR: '/nonexistent' },
    envOf: { ingest: { WORKER_CONCURRENCY: '1' } },
  })
  rest = await before('gateway')
  mcpPastGateway = await before('mcp')
  library_uid = (await system.createWorkspace('rotation')).library_uid
  job = (await upload()).body.job_id
  expect(await system.ended(job)).toMatchObject({ status: 'completed' })
}, 240_000)
afterAll(async () => {
  for (const front of fronts) await front.close(0)
  await system?.stop()
})

async function before(name: 'gateway' | 'mcp'): Promise<SystemClient> {
  const urls = system.cluster.processes[name].map(({ url }) => url).join(',')
  // What is asked here may be asked twice.
  const upstream = httpUpstream(urls, { isRepeatable: () => true })
  const pass = async (request: Request) => {
    const answer = await upstream(request)
    // They are about the connection to the replica (RFC 9110, section 7.6.1).
    for (const header of ['connection', 'keep-alive', 'transfer-encoding']) answer.headers.delete(header)
    return answer
  }
  const front = await listen(pass, { host: '127.0.0.1', port: 0 })
  fronts.push(front)
  return new SystemClient(front.url, system.token)
}

/** The same document each time, and so the same job. */
const upload = () =>
  rest.upload(
    { library_uid, source_ref: 'light' },
    { name: 'light.md', content: inventedDocument('Light', 1) },
  )

/** Every way by which assertions travel: to each service, on delegations, and signed by mcp itself. */
const ASKS: Record<string, () => Promise<{ status: number; text: string }>> = {
  'auth over REST': () => rest.call('GET', '/profile/api/me/'),
  'library over REST': () => rest.call('GET', `/library/api/items/?library_uid=${library_uid}`),
  'search over REST': () =>
    rest.call('POST', '/library/api/search/', { query: 'which keeper trimmed lamp 7?' }),
  'ingest over REST': () => rest.call('GET', `/library/api/jobs/${job}/`),
  'upload over REST': upload,
  'search over MCP': () => searchOver(rest),
  'search over MCP past the gateway': () => searchOver(mcpPastGateway),
}

async function searchOver(client: SystemClient) {
  const { status, text, body } = await client.mcp('tools/call', {
    name: 'search',
    arguments: { query: 'which keeper trimmed lamp 7?' },
  })
  const { result } = (body ?? {}) as {
    result?: { isError?: boolean; structuredContent?: { candidates: unknown[] } }
  }
  const found = !result?.isError && (result?.structuredContent?.candidates.length ?? 0) > 0
  return { status: status === 200 && !found ? 0 : status, text }
}

/** Asks in turn, all ways at once, without a pause until it is stopped. */
class Traffic {
  readonly answered: Record<string, number> = {}
  readonly failures: string[] = []
  #stopped = false
  readonly #going = Object.entries(ASKS).map(async ([name, ask]) => {
    while (!this.#stopped) {
      const answer = await ask().catch((error: Error) => ({ status: 0, text: String(error.cause ?? error) }))
      if (answer.status === 200) this.answered[name] = (this.answered[name] ?? 0) + 1
      else this.failures.push(`${name}: ${answer.status} ${answer.text}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  })

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#going)
  }
}

const keysOf = (process: ServiceProcess): AssertionKeys =>
  parseAssertionKeys(process.variables.ASSERTION_KEYS!)

/** One process after another, as a rolling restart does it. */
async function restart(processes: readonly ServiceProcess[], sets: AssertionKeySets): Promise<void> {
  for (const process of processes) {
    expect(await process.stop(), process.name).toBe(0)
    const keys = SIGNERS.includes(process.name) ? sets.sign : sets.verify
    process.start({ ASSERTION_KEYS: JSON.stringify(keys) })
    await process.ready()
  }
}

/** What each process but the gateways answers to what `keys` sign, by its name. */
async function answersTo(keys: AssertionKeys): Promise<Record<string, number[]>> {
  const sign = await createSigner('gateway', keys)
  const answers: Record<string, number[]> = {}
  for (const { name, url } of system.cluster.all) {
    if (name === 'gateway') continue
    const headers = { [PRINCIPAL_HEADER]: await sign(servicePrincipal('rest'), name) }
    const client = new SystemClient(url, '')
    const { status } =
      name === 'mcp'
        ? await client.mcp('tools/list', {}, { token: null, headers })
        : await client.call(
            name === 'search' ? 'POST' : 'GET',
            PATHS[name],
            name === 'search' ? { query: 'x' } : undefined,
            {
              token: null,
              headers,
            },
          )
    answers[name] = [...(answers[name] ?? []), status]
  }
  return answers
}

const PATHS = {
  auth: '/profile/api/tokens/',
  library: '/library/api/libraries/',
  ingest: '/library/api/jobs/',
  search: '/library/api/search/',
}

const everywhere = (status: number | unknown) =>
  Object.fromEntries(['auth', 'library', 'ingest', 'search', 'mcp'].map((name) => [name, [status, status]]))
const believed = everywhere(expect.toSatisfy((status: number) => status !== 401 && status < 500))

test('the key that signs is exchanged in three rounds of restarts, and no request fails', async () => {
  const old = keysOf(system.cluster.processes.gateway[0]!)
  const { code, stdout } = await mnemosyne(['assertion-keys', '--rotate', '--kid', 'next', '--json'], {
    env: { ASSERTION_KEYS: JSON.stringify(old) },
  })
  expect(code, stdout).toBe(0)
  const [both, signNext, oldGone] = (
    JSON.parse(stdout) as { steps: [AssertionKeySets, AssertionKeySets, AssertionKeySets] }
  ).steps
  const next = oldGone.sign
  expect(await answersTo(old)).toEqual(believed)
  expect(await answersTo(next)).toEqual(everywhere(401))

  const traffic = new Traffic()
  await restart(system.cluster.all, both)
  expect(await answersTo(next)).toEqual(believed)
  await restart([...system.cluster.processes.gateway, ...system.cluster.processes.mcp], signNext)
  expect(await answersTo(old)).toEqual(believed)
  await restart(system.cluster.all, oldGone)
  await traffic.stop()

  expect(traffic.failures).toEqual([])
  expect(Object.keys(traffic.answered).sort()).toEqual(Object.keys(ASKS).sort())
  expect(Math.min(...Object.values(traffic.answered))).toBeGreaterThan(10)
  expect(await answersTo(old)).toEqual(everywhere(401))
  expect(await answersTo(next)).toEqual(believed)
})
