#!/usr/bin/env node
import { randomUUID } from 'node:crypto'
import { authInternalContract, createClient, libraryContract, searchContract } from '@mnemosyne/contracts'
import { createSigner, peerReadiness, runService, startAuditRecorder } from '@mnemosyne/platform'
import { mcpProcessConfig } from './config.ts'
import { startMcp } from './start.ts'

/** Every call of a tool reads, a credential is resolved without effect, and a record that is known is passed over. */
const isRepeatable = () => true

await runService({
  name: 'mcp',
  schema: mcpProcessConfig,
  async start({ config, closing, keys, verify, clock, log, metrics, reach }) {
    const search = reach('search', config.SEARCH_URL, { isRepeatable })
    const ingest = reach('ingest', config.INGEST_URL)
    const auth = createClient(authInternalContract, reach('auth', config.AUTH_URL, { isRepeatable }))
    const sign = await createSigner('mcp', keys)
    return startMcp({
      config,
      search: createClient(searchContract, search),
      library: createClient(libraryContract, reach('library', config.LIBRARY_URL, { isRepeatable })),
      auth,
      audit: closing.use(startAuditRecorder({ auth, sign, clock, log, metrics, ids: randomUUID })),
      verify,
      sign,
      readiness: [() => peerReadiness(search.fetch), () => peerReadiness(ingest.fetch)],
      clock,
      log,
      metrics,
    })
  },
})
