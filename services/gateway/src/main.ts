#!/usr/bin/env node
import type { ServiceName } from '@mnemosyne/contracts'
import { createSigner, httpUpstream, observeCalls, runService } from '@mnemosyne/platform'
import { gatewayProcessConfig } from './config.ts'
import { startGateway } from './gateway.ts'
import { isRepeatable } from './routes.ts'

await runService({
  name: 'gateway',
  schema: gatewayProcessConfig,
  async start({ config, keys, clock, log, metrics }) {
    const at = (service: ServiceName, urls: string) =>
      httpUpstream(urls, { isRepeatable, calls: observeCalls(service, metrics) })
    return startGateway({
      config,
      upstreams: {
        auth: at('auth', config.AUTH_URL),
        library: at('library', config.LIBRARY_URL),
        ingest: at('ingest', config.INGEST_URL),
        search: at('search', config.SEARCH_URL),
        mcp: at('mcp', config.MCP_URL),
      },
      sign: await createSigner('gateway', keys),
      // Without auth nobody gets in; without another service the rest still answers.
      readyPeers: ['auth'],
      clock,
      log,
      metrics,
    })
  },
})
