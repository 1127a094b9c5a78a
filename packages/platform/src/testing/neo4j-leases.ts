import type { ServerResponse } from 'node:http'
import type { Neo4jVersion } from './neo4j-install.ts'
import { emptyNeo4j, startNeo4j } from './neo4j-server.ts'
import type { TestServer } from './postgres-server.ts'

/** Most servers of each version. Community has one database, so a test needs a server to itself. */
const SERVERS: Record<Neo4jVersion, number> = { '5.26': 2, '2026': 1 }

interface Pool {
  servers: Promise<TestServer>[]
  free: TestServer[]
  waiting: ((server: TestServer) => void)[]
}

/** The run's shared Neo4j servers, each lent to one test file at a time. Started when they are first wanted. */
export class Neo4jLeases {
  readonly #pools: Record<Neo4jVersion, Pool> = {
    '5.26': { servers: [], free: [], waiting: [] },
    '2026': { servers: [], free: [], waiting: [] },
  }

  /** Starts the first server of a version; rejects where there can be none. */
  async first(version: Neo4jVersion): Promise<TestServer> {
    const pool = this.#pools[version]
    return pool.servers[0] ?? this.#grow(version, (server) => this.#giveBack(version, server))
  }

  /** Answers with a line `{url}` of an emptied server, which is the caller's for as long as the connection lasts. */
  async lend(version: Neo4jVersion, reply: ServerResponse): Promise<void> {
    const server = await this.#take(version)
    const giveBack = () => this.#giveBack(version, server)
    try {
      if (!reply.destroyed) await emptyNeo4j(server.url)
    } catch (error) {
      giveBack()
      throw error
    }
    if (reply.destroyed) return giveBack()
    reply.once('close', giveBack)
    reply.write(`${JSON.stringify({ url: server.url })}\n`)
  }

  async close(): Promise<void> {
    const all = Object.values(this.#pools).flatMap(({ servers }) => servers)
    await Promise.all(all.map((one) => one.then((server) => server.close()).catch(() => {})))
  }

  async #take(version: Neo4jVersion): Promise<TestServer> {
    const { servers, free, waiting } = this.#pools[version]
    const idle = free.pop()
    if (idle) return idle
    if (servers.length < SERVERS[version]) return this.#grow(version, () => {})
    return new Promise((resolve) => waiting.push(resolve))
  }

  async #grow(version: Neo4jVersion, then: (server: TestServer) => void): Promise<TestServer> {
    const starting = startNeo4j({ version })
    this.#pools[version].servers.push(starting)
    const server = await starting
    then(server)
    return server
  }

  #giveBack(version: Neo4jVersion, server: TestServer): void {
    const { free, waiting } = this.#pools[version]
    const next = waiting.shift()
    if (next) next(server)
    else free.push(server)
  }
}
