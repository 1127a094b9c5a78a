import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import {
  composeProgram,
  describeProgram,
  nginxExporterProgram,
  nginxProgram,
  startNginx,
} from '@mnemosyne/platform/testing'
import { expect, test, vi } from 'vitest'
import { NEEDED, readComposeFile } from './compose-file.ts'
import { startUpstream } from './upstream.ts'

const everything = async () => {
  await nginxProgram()
  await composeProgram()
  return nginxExporterProgram()
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

await describeProgram("nginx's exporter", everything, (exporter) => {
  test('as compose.yaml starts it, it has the metrics of nginx', async () => {
    const { services } = await readComposeFile(await composeProgram(), NEEDED)
    const { command = [], ports = [] } = services['nginx-exporter'] ?? {}
    await using service = await startUpstream()
    await using nginx = await startNginx({ gateway: service.url, mcp: service.url })
    const port = await freePort()
    const args = command.map((argument) =>
      argument.replace('http://nginx:8080', nginx.url).replace(`:${ports[0]?.target}`, `127.0.0.1:${port}`),
    )
    const running = spawn(exporter, args, { stdio: 'ignore' })
    try {
      await vi.waitFor(
        async () => {
          const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
          expect(metrics).toMatch(/^nginx_up 1$/m)
          expect(metrics).toMatch(/^nginx_http_requests_total [1-9]/m)
        },
        { timeout: 20_000, interval: 100 },
      )
    } finally {
      running.kill()
      await once(running, 'exit')
    }
  })
})
