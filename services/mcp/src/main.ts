#!/usr/bin/env node
import { authInternalContract, createClient, libraryContract, searchContract } from '@mnemosyne/contracts'
import { createSigner, peerReadiness, runService } from '@mnemosyne/platform'
import { mcpProcessConfig } from './config.ts'
import { startMcp } from './start.ts'

/** Every call of a tool reads, and a credential is resolved without effect. */
const isRepeatable = () => true

await runService({
  name: 'mcp',
  schema: mcpProcessConfig,
  async start({ config, keys, verify, clock, log, metrics, reach }) {
    const search = reach('search', config.SEARCH_URL, { isRepeatable })
    const ingest = reach('ingest', config.INGEST_URL)
    return startMcp({
      config,
      search: createClient(searchContract, search),
      library: createClient(libraryContract, reach('library', config.LIBRARY_URL, { isRepeatable })),
      auth: createClient(authInternalContract, reach('auth', config.AUTH_URL, { isRepeatable })),
      verify,
      sign: await createSigner('mcp', keys),
      readiness: [() => peerReadiness(search.fetch), () => peerReadiness(ingest.fetch)],
      clock,
      log,
      metrics,
    })
  },
})
