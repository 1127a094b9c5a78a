#!/usr/bin/env node
import { createSigner, httpUpstream, runService } from '@mnemosyne/platform'
import { gatewayProcessConfig } from './config.ts'
import { startGateway } from './gateway.ts'
import { isRepeatable } from './routes.ts'

await runService({
  name: 'gateway',
  schema: gatewayProcessConfig,
  async start({ config, keys, clock, log, metrics }) {
    const at = (urls: string) => httpUpstream(urls, { isRepeatable })
    return startGateway({
      config,
      upstreams: {
        auth: at(config.AUTH_URL),
        library: at(config.LIBRARY_URL),
        ingest: at(config.INGEST_URL),
        search: at(config.SEARCH_URL),
        mcp: at(config.MCP_URL),
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
