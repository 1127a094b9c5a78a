import { parseArgs } from 'node:util'
import { startEmbeddingServer } from './embedding-server.ts'

/**
 * The embedding server as a process of its own, with hashed vectors; prints its address.
 * Usage: node packages/models/src/testing/embedding-server-main.ts [--port N] [--dimensions N] [--latency MS] [--api-key KEY]
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    dimensions: { type: 'string', default: '384' },
    latency: { type: 'string', default: '0' },
    'api-key': { type: 'string' },
  },
})
const server = await startEmbeddingServer({
  port: Number(values.port),
  dimensions: Number(values.dimensions),
  latencyMs: Number(values.latency),
  apiKey: values['api-key'],
})
console.log(server.url)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close())
