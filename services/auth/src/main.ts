#!/usr/bin/env node
import { randomUUID } from 'node:crypto'
import { createClient, libraryInternalContract, SUBSCRIPTIONS, validateMessage } from '@mnemosyne/contracts'
import { openRabbitBus, openSql, runService } from '@mnemosyne/platform'
import { authProcessConfig } from './config.ts'
import type { AuthTables } from './schema.ts'
import { startAuth } from './service.ts'

await runService({
  name: 'auth',
  schema: authProcessConfig,
  async start({ config, closing, reach, verify, keys: _, ...around }) {
    const sql = closing.use(await openSql<AuthTables>(config.DATABASE_URL, { schema: 'auth', ...around }))
    const bus = closing.use(
      await openRabbitBus({
        url: config.AMQP_URL,
        validate: validateMessage,
        subscriptions: SUBSCRIPTIONS,
        ...around,
      }),
    )
    const library = createClient(libraryInternalContract, reach('library', config.LIBRARY_URL))
    return startAuth({ ...around, verify, sql, bus, library, ids: randomUUID })
  },
})
