#!/usr/bin/env node
import { randomUUID } from 'node:crypto'
import {
  authInternalContract,
  createClient,
  SUBSCRIPTIONS,
  searchContract,
  validateMessage,
} from '@mnemosyne/contracts'
import { openNeo4jGraph } from '@mnemosyne/graph'
import { openRabbitBus, openSql, runService } from '@mnemosyne/platform'
import { libraryProcessConfig } from './config.ts'
import { startLibrary } from './start.ts'
import type { LibraryTables } from './store/tables.ts'

await runService({
  name: 'library',
  schema: libraryProcessConfig,
  async start({ config, closing, reach, verify, keys: _, ...around }) {
    const sql = closing.use(
      await openSql<LibraryTables>(config.DATABASE_URL, { schema: 'library', ...around }),
    )
    const graph = closing.use(await openNeo4jGraph({ url: config.NEO4J_URL, ...around }))
    const bus = closing.use(
      await openRabbitBus({
        url: config.AMQP_URL,
        validate: validateMessage,
        subscriptions: SUBSCRIPTIONS,
        ...around,
      }),
    )
    const auth = createClient(authInternalContract, reach('auth', config.AUTH_URL))
    // Every search reads.
    const search = createClient(
      searchContract,
      reach('search', config.SEARCH_URL, { isRepeatable: () => true }),
    )
    return startLibrary({ ...around, verify, sql, graph, bus, auth, search, ids: randomUUID })
  },
})
