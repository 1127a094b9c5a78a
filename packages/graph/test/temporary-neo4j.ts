import { createLog, Metrics, systemClock } from '@mnemosyne/platform'
import type { Neo4jLease } from '@mnemosyne/platform/testing'
import { Registry } from 'prom-client'
import { type Neo4jGraphOptions, openNeo4jGraph } from '../src/index.ts'
import type { OpenGraph } from '../src/testing/index.ts'

export function neo4jOptions(url: string): Neo4jGraphOptions {
  return {
    url,
    log: createLog({ component: 'test', level: 'silent' }),
    metrics: new Metrics(new Registry(), 'test'),
    clock: systemClock,
  }
}

/** A store on a lent server. */
export async function openLentGraph(lease: () => Promise<Neo4jLease>): Promise<OpenGraph> {
  const server = await lease()
  const opened = {
    graph: await openNeo4jGraph(neo4jOptions(server.url)),
    reopen: async () => {
      await opened.graph.close()
      opened.graph = await openNeo4jGraph(neo4jOptions(server.url))
      return opened.graph
    },
    dispose: async () => {
      await opened.graph.close()
      await server.release()
    },
  }
  return opened
}
