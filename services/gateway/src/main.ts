#!/usr/bin/env node
import { randomUUID } from 'node:crypto'
import { authInternalContract, createClient, type ServiceName } from '@mnemosyne/contracts'
import { createSigner, httpUpstream, observeCalls, runService, startAuditRecorder } from '@mnemosyne/platform'
import { gatewayProcessConfig } from './config.ts'
import { startGateway } from './gateway.ts'
import { startGoldenSchedule } from './golden-schedule.ts'
import { isRepeatable } from './routes.ts'

await runService({
  name: 'gateway',
  schema: gatewayProcessConfig,
  async start({ config, closing, keys, clock, log, metrics }) {
    const at = (service: ServiceName, urls: string) =>
      httpUpstream(urls, { isRepeatable, calls: observeCalls(service, metrics) })
    const sign = await createSigner('gateway', keys)
    const auth = at('auth', config.AUTH_URL)
    const audit = closing.use(
      startAuditRecorder({
        auth: createClient(authInternalContract, { fetch: auth, audience: 'auth' }),
        ...{ sign, clock, log, metrics, ids: randomUUID },
      }),
    )
    const library = at('library', config.LIBRARY_URL)
    const everyHours = config.GOLDEN_QUERIES_EVERY_HOURS
    closing.use(startGoldenSchedule({ everyHours, library, sign, clock, log }))
    return startGateway({
      config,
      upstreams: {
        auth,
        library,
        ingest: at('ingest', config.INGEST_URL),
        search: at('search', config.SEARCH_URL),
        mcp: at('mcp', config.MCP_URL),
      },
      sign,
      audit,
      // Without auth nobody gets in; without another service the rest still answers.
      readyPeers: ['auth'],
      clock,
      log,
      metrics,
    })
  },
})
