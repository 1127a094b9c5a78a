import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, inject, it } from 'vitest'
import type { Neo4jVersion } from './neo4j-install.ts'
import { Neo4jLeases } from './neo4j-leases.ts'
import { createPostgresDatabase, startPostgres, type TestServer } from './postgres-server.ts'
import { createRabbitVhost, type RabbitServer, startRabbitMq } from './rabbitmq-server.ts'
import { createS3Account, createS3Bucket, type S3Account, type S3Bucket, startS3 } from './s3-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Socket at which the run's shared servers are asked for. */
    testServers: string
  }
}

interface Addresses {
  postgres: { url: string }
  rabbitmq: { url: string; managementUrl: string }
  s3: { url: string }
  'neo4j/5.26': { url: string }
  'neo4j/2026': { url: string }
}
type Kind = keyof Addresses
type Answer<K extends Kind> = Addresses[K] | { unavailable: string }

export interface SharedServers {
  socket: string
  close(): Promise<void>
}

/**
 * The test run's shared servers, for `globalSetup`: each is started when the first test file asks for it, so
 * that a run of unit tests waits for none.
 */
export async function shareServers(): Promise<SharedServers> {
  const dir = await mkdtemp(join(tmpdir(), 'mnemosyne-test-'))
  const socket = join(dir, 'servers.sock')
  const neo4j = new Neo4jLeases()
  const start: { [K in Kind]: () => Promise<TestServer | RabbitServer> } = {
    postgres: startPostgres,
    rabbitmq: startRabbitMq,
    s3: () => startS3(),
    'neo4j/5.26': () => neo4j.first('5.26'),
    'neo4j/2026': () => neo4j.first('2026'),
  }
  const started = new Map<Kind, Promise<TestServer | RabbitServer>>()
  const ask = (kind: Kind) => {
    const known = started.get(kind) ?? start[kind]()
    started.set(kind, known)
    return known
  }
  const unavailable = (error: Error) => ({
    unavailable: [error.message, (error.cause as Error)?.message].filter(Boolean).join(': '),
  })
  const server = createServer(async (incoming, reply) => {
    const path = incoming.url?.slice(1) ?? ''
    if (path.startsWith('lease/neo4j/')) {
      const version = path.slice('lease/neo4j/'.length) as Neo4jVersion
      await neo4j.lend(version, reply).catch((error) => reply.end(JSON.stringify(unavailable(error))))
      return
    }
    reply.end(JSON.stringify(await ask(path as Kind).catch(unavailable)))
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  return {
    socket,
    async close() {
      server.close()
      server.closeAllConnections()
      await Promise.all(
        [...started.values()].map((one) => one.then((running) => running.close()).catch(() => {})),
      )
      await neo4j.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** URL of a new, empty PostgreSQL database on the run's shared server. */
export async function freshPostgresUrl(): Promise<string> {
  return createPostgresDatabase((await available('postgres')).url)
}

/** URL of a new virtual host on the run's shared RabbitMQ. */
export async function freshAmqpUrl(): Promise<string> {
  return createRabbitVhost(await available('rabbitmq'))
}

/** The shared RabbitMQ itself, to look inside with `rabbitRequest`. */
export const sharedRabbitMq = (): Promise<Addresses['rabbitmq']> => available('rabbitmq')

/** A new, empty bucket on the run's shared S3 server, of an account of its own that sees no other bucket. */
export async function freshS3Bucket(): Promise<S3Bucket> {
  return createS3Bucket(await available('s3'))
}

/** A new account there that owns nothing. As `userplus` it may make buckets, as `user` not. */
export async function freshS3Account(role: 'user' | 'userplus'): Promise<S3Account> {
  return createS3Account(await available('s3'), role)
}

/**
 * `describe` for tests over a real PostgreSQL. Where there is none and none can be installed they are skipped,
 * with the reason in the name and on stderr; with `CI=true` that is a failure. Await it at the top of a file.
 */
export const describePostgres = (name: string, suite: (freshUrl: () => Promise<string>) => void) =>
  describeWith('postgres', name, () => suite(freshPostgresUrl))

/** The same over a real RabbitMQ. */
export const describeRabbitMq = (name: string, suite: (freshUrl: () => Promise<string>) => void) =>
  describeWith('rabbitmq', name, () => suite(freshAmqpUrl))

/** The same over a real S3 server. */
export const describeS3 = (name: string, suite: (freshBucket: () => Promise<S3Bucket>) => void) =>
  describeWith('s3', name, () => suite(freshS3Bucket))

/** The same over PostgreSQL and RabbitMQ. */
export const describeServers = (name: string, suite: () => void) =>
  describeWith(['postgres', 'rabbitmq'], name, suite)

/**
 * `describe` for tests over a real Neo4j, skipped like the others. `lease` gives an emptied server of the version
 * to this test file alone; a file that holds two at a time may wait for ever.
 */
export const describeNeo4j = (
  name: string,
  suite: (lease: () => Promise<Neo4jLease>) => void,
  version: Neo4jVersion = '5.26',
) => describeWith(`neo4j/${version}`, name, () => suite(() => leaseNeo4j(version)))

/** A Neo4j that is this process's alone until it is released, or the process ends. */
export interface Neo4jLease extends AsyncDisposable {
  /** `bolt://neo4j:PASSWORD@127.0.0.1:PORT` */
  readonly url: string
  release(): Promise<void>
}

/** Waits for one of the run's Neo4j servers, empties it and lends it. */
export async function leaseNeo4j(version: Neo4jVersion = '5.26'): Promise<Neo4jLease> {
  const socketPath = inject('testServers')
  const request = get({ socketPath, path: `/lease/neo4j/${version}`, agent: false })
  const [reply] = (await once(request, 'response')) as [IncomingMessage]
  const [line] = (await once(reply, 'data')) as [Buffer]
  const answer = JSON.parse(line.toString()) as Answer<'neo4j/5.26'>
  if ('unavailable' in answer) throw new Error(answer.unavailable)
  // The lease lasts as long as this connection, which must not keep the process alive.
  reply.on('error', () => {}).resume()
  reply.socket.unref()
  const release = async () => void reply.destroy()
  return { url: answer.url, release, [Symbol.asyncDispose]: release }
}

async function describeWith(kinds: Kind | Kind[], name: string, suite: () => void): Promise<void> {
  const answers = await Promise.all([kinds].flat().map(ask))
  const missing = answers.flatMap((answer) => ('unavailable' in answer ? [answer.unavailable] : []))
  if (missing.length === 0) {
    describe(name, suite)
    return
  }
  const reason = missing.join('; ')
  if (process.env.CI === 'true') {
    it(name, () => {
      throw new Error(reason)
    })
    return
  }
  process.stderr.write(`SKIPPED: ${name}: ${reason}\n`)
  describe.skip(`${name} (skipped: ${reason})`, suite)
}

async function available<K extends Kind>(kind: K): Promise<Addresses[K]> {
  const answer = await ask(kind)
  if ('unavailable' in answer) throw new Error(answer.unavailable)
  return answer
}

async function ask<K extends Kind>(kind: K): Promise<Answer<K>> {
  const socketPath = inject('testServers')
  if (!socketPath) return { unavailable: `no ${kind}: run vitest from the root of the repository` }
  return new Promise((resolve, reject) => {
    get({ socketPath, path: `/${kind}` }, async (reply) => {
      const chunks: Buffer[] = await reply.toArray()
      resolve(JSON.parse(Buffer.concat(chunks).toString()))
    }).on('error', reject)
  })
}
