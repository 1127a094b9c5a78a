import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { mnemosyne, RunningSystem, temporaryFolder } from './harness.ts'

// A whole process on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 120_000 })

const PASSWORD = 'the keeper sleeps by day'
const folder = temporaryFolder()
let system: RunningSystem
let cookie: string

beforeAll(async () => {
  system = await RunningSystem.start(join(folder.path, 'data'), {
    env: { MNEMOSYNE_MODEL_DIR: '/nonexistent' },
  })
  const args = ['create-user', 'keeper', '--password-stdin', '--data-dir', system.dataDir]
  expect(await mnemosyne(args, { input: PASSWORD })).toMatchObject({ code: 0 })
  const { status, headers } = await signIn(PASSWORD)
  expect(status).toBe(200)
  cookie = headers.getSetCookie()[0]!.split(';')[0]!
})
afterAll(async () => {
  await system?.stop()
  folder[Symbol.dispose]()
})

const signIn = (password: string) =>
  system.call(
    'POST',
    '/accounts/api/login/',
    { username: 'keeper', password },
    { token: null, headers: { origin: system.url } },
  )

async function timed<T extends { status: number }>(asked: Promise<T>) {
  const started = performance.now()
  const { status } = await asked
  return { status, ms: performance.now() - started }
}

/** What locks readers out does not exist in a database with a write-ahead log, short of deleting it. */
test('while another program holds the lock on the users, who is known gets in, and nothing that has to be written is done', async () => {
  const minted = await system.call('POST', '/profile/api/tokens/', { name: 'lost', allowed_libraries: ['*'] })
  const { id, token } = minted.body as { id: string; token: string }
  const other = new DatabaseSync(join(system.dataDir, 'auth.db'))
  other.exec('BEGIN EXCLUSIVE')
  try {
    const reads = [
      ...[1, 2, 3, 4, 5].map(() => timed(system.call('GET', '/profile/api/me/', undefined, { token }))),
      timed(system.mcp('tools/list', {}, { token })),
      timed(system.call('GET', '/profile/api/me/', undefined, { token: null, headers: { cookie } })),
    ]
    const refusals = [
      timed(system.call('GET', '/profile/api/me/', undefined, { token: 'mnem_unknown' })),
      timed(system.mcp('tools/list', {}, { token: 'mnem_unknown' })),
    ]
    const logins = [timed(signIn(PASSWORD)), timed(signIn('a guess'))]
    const revoked = timed(system.call('POST', `/profile/api/tokens/${id}/revoke/`))
    for (const { status, ms } of await Promise.all(reads)) {
      expect(status).toBe(200)
      expect(ms).toBeLessThan(2_500)
    }
    for (const { status, ms } of await Promise.all(refusals)) {
      expect(status).toBe(401)
      expect(ms).toBeLessThan(2_500)
    }
    for (const { status, ms } of await Promise.all(logins)) {
      expect(status).toBe(503)
      expect(ms).toBeLessThan(2_500)
    }
    expect((await revoked).status).toBe(503)
  } finally {
    other.close()
  }
  expect((await system.call('GET', '/profile/api/me/', undefined, { token })).status).toBe(200)
  await expect
    .poll(async () => (await system.call('POST', `/profile/api/tokens/${id}/revoke/`)).status, {
      timeout: 20_000,
    })
    .toBe(204)
  expect((await system.call('GET', '/profile/api/me/', undefined, { token })).status).toBe(401)
  expect((await signIn(PASSWORD)).status).toBe(200)
})
