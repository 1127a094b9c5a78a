import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test('the embedding server runs as a process, prints its address, answers and ends', async () => {
  const program = fileURLToPath(new URL('./embedding-server-main.ts', import.meta.url))
  const server = spawn(process.execPath, [program, '--port', '0', '--dimensions', '8'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(server, 'exit')
  try {
    const [line] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string]
    const answer = await fetch(`${line.trim()}/embeddings`, {
      method: 'POST',
      body: JSON.stringify({ model: 'm', input: 'one text' }),
    })
    const { data } = (await answer.json()) as { data: { index: number; embedding: number[] }[] }
    expect(data).toEqual([{ object: 'embedding', index: 0, embedding: expect.any(Array) }])
    expect(data[0]!.embedding).toHaveLength(8)
  } finally {
    server.kill('SIGTERM')
  }
  expect(await exited).toEqual([0, null])
})
