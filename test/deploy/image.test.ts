import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describeProgram, hadolintProgram } from '@mnemosyne/platform/testing'
import { describe, expect, test } from 'vitest'
import { startUpstream } from './upstream.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const DOCKERFILE = `${ROOT}deploy/docker/Dockerfile`

const run = (program: string, args: string[], env: Record<string, string> = {}) =>
  promisify(execFile)(program, args, { cwd: ROOT, env: { PATH: process.env.PATH, ...env } }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code: number; stdout: string }) => ({ code: error.code, stdout: error.stdout }),
  )

await describeProgram('deploy/docker', hadolintProgram, (hadolint) => {
  test('hadolint finds nothing in the Dockerfile', async () => {
    expect(await run(hadolint, [DOCKERFILE])).toEqual({ code: 0, stdout: '' })
  })
})

describe('the Dockerfile', () => {
  const dockerfile = readFile(DOCKERFILE, 'utf8')

  test('copies the manifest of every workspace before it installs', async () => {
    const { packages } = JSON.parse(await readFile(`${ROOT}package-lock.json`, 'utf8'))
    const workspaces = Object.keys(packages).filter((path) => path !== '' && !path.includes('node_modules'))
    const [before] = (await dockerfile).split('npm ci')
    expect(workspaces).toContain('services/search')
    for (const workspace of workspaces) {
      expect(before).toContain(`COPY ${workspace}/package.json ${workspace}/\n`)
    }
  })

  test('has the Node that the repository is developed with', async () => {
    const { dependencies } = JSON.parse(await readFile(`${ROOT}package.json`, 'utf8'))
    expect(await dockerfile).toContain(`NODE_IMAGE=node:${dependencies.node}-`)
  })

  test('ends as a user without privileges, known by number', async () => {
    expect((await dockerfile).match(/^USER .*$/gm)).toEqual(['USER 10001:10001'])
  })
})

describe('the health check of the image', () => {
  const check = (port: string) =>
    run(process.execPath, ['deploy/docker/health-check.ts'], { LISTEN_PORT: port })

  test.for([
    [200, 0],
    [503, 1],
  ] as const)('/ready/ says %i: exit code %i', async ([status, code]) => {
    await using service = await startUpstream({
      answer: (request, response) => {
        response.writeHead(request.url === '/ready/' ? status : 404).end('{"status":"told"}')
      },
    })
    expect(await check(new URL(service.url).port)).toEqual({ code, stdout: '{"status":"told"}\n' })
  })

  test('nobody answers: exit code 1, with the reason', async () => {
    const service = await startUpstream()
    await service.close()
    const { code, stdout } = await check(new URL(service.url).port)
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining('ECONNREFUSED') })
  })

  test('no port is set: exit code 1, with the reason', async () => {
    expect(await check('')).toEqual({ code: 1, stdout: 'LISTEN_PORT is not set\n' })
  })
})
