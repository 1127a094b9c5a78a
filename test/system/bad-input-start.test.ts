import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  BOUND_BY_PERMISSIONS,
  mnemosyne,
  permissionsCanBeTested,
  RunningSystem,
  temporaryFolder,
} from './harness.ts'

const folder = temporaryFolder()
let system: RunningSystem
/** Of a system that was stopped: everything in it, made by this version. */
let used: string

beforeAll(async () => {
  used = join(folder.path, 'used')
  const [running, stopped] = await Promise.all([
    RunningSystem.start(join(folder.path, 'running')),
    RunningSystem.start(used),
  ])
  system = running
  await stopped.stop()
})
afterAll(async () => {
  await system?.stop()
  folder[Symbol.dispose]()
})

interface Start {
  args?: string[]
  env?: Record<string, string>
}

/** A start that fails: what people are told on stderr, and what scripts read on stdout. */
async function refusedStart(dataDir: string, { args = [], env }: Start = {}) {
  const command = [
    'up',
    '--empty',
    '--data-dir',
    dataDir,
    ...(args.includes('--port') ? [] : ['--port', '0']),
  ]
  const [people, scripts] = await Promise.all([
    mnemosyne([...command, ...args], { env }),
    mnemosyne([...command, ...args, '--json'], { env }),
  ])
  expect([people.code, scripts.code], people.stderr).toEqual([3, 3])
  expect(people.stderr).not.toMatch(/\n\s+at |node:internal/)
  const { error } = JSON.parse(scripts.stdout) as { error: { code: string; detail: string } }
  expect(people.stderr.trim()).toBe(error.detail.trim())
  return error
}

/** Names, sizes and contents of all files, to see that nothing was touched but the lock. */
function contents(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter(
    (name) => !/^lock\.|\.jsonl$|-(wal|shm)$/.test(name) && statSync(join(dir, name)).isFile(),
  )
  return Object.fromEntries(
    names.sort().map((name) => [name, readFileSync(join(dir, name)).toString('base64')]),
  )
}

describe.concurrent('a start is refused, with what to do', () => {
  test('when the port is taken', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      // One data folder each: both starts get as far as the port.
      const starts = ['a', 'b'].map((name) =>
        mnemosyne(['up', '--empty', '--port', String(port), '--data-dir', join(folder.path, name), '--json']),
      )
      for (const { code, stdout } of await Promise.all(starts)) {
        expect(code).toBe(3)
        expect(JSON.parse(stdout)).toMatchObject({
          error: {
            code: 'PORT_IN_USE',
            detail: expect.stringMatching(`^Port ${port} is taken.*another port`),
          },
        })
      }
    } finally {
      server.close()
    }
    const free = await RunningSystem.start(join(folder.path, 'a'))
    expect(await free.stop()).toBe(0)
  })

  test('when another process has the data folder, which goes on', async () => {
    const { code, detail } = await refusedStart(system.dataDir)
    expect(code).toBe('DATA_FOLDER_IN_USE')
    expect(detail).toContain(`process ${system.process.pid}`)
    expect(detail).toContain('--data-dir')
    expect((await system.call('GET', '/ready/')).status).toBe(200)
  })

  test('when the data folder is of a newer format, which stays as it was', async () => {
    const dir = join(folder.path, 'newer')
    mkdirSync(dir)
    writeFileSync(join(dir, 'format.json'), '{"format": 999}')
    const before = contents(dir)
    expect((await refusedOnce(dir)).detail).toMatch(/newer|999/)
    expect(contents(dir)).toEqual(before)
  })

  test.each(['', '{"format": "one"}', 'null'])('when format.json is %j', async (text) => {
    const dir = join(folder.path, `damaged ${text.length}`)
    mkdirSync(dir)
    writeFileSync(join(dir, 'format.json'), text)
    expect((await refusedOnce(dir)).detail).toMatch(/format\.json is damaged.*backup/)
    expect(readFileSync(join(dir, 'format.json'), 'utf8')).toBe(text)
  })

  test('when the data folder is a file, or lies under one', async () => {
    const file = join(folder.path, 'file')
    writeFileSync(file, 'mine')
    for (const dir of [file, join(file, 'under')]) {
      expect((await refusedOnce(dir)).detail).toMatch(/cannot be made: there is a file of that name/)
    }
    expect(readFileSync(file, 'utf8')).toBe('mine')
  })

  test.runIf(permissionsCanBeTested())('when the data folder cannot be written to', async () => {
    const dir = join(folder.path, 'locked')
    mkdirSync(dir)
    chmodSync(dir, BOUND_BY_PERMISSIONS === undefined ? 0o500 : 0o555)
    chmodSync(folder.path, 0o755)
    const args = ['up', '--empty', '--port', '0', '--json', '--data-dir', dir]
    const { code, stdout } = await mnemosyne(args, { uid: BOUND_BY_PERMISSIONS })
    expect([code, stdout]).toEqual([3, expect.stringMatching(/cannot be written to/)])
  })

  test.runIf(existsSync('/sys'))('when there can be no data folder', async () => {
    expect((await refusedOnce('/sys/mnemosyne')).detail).toMatch(/data folder \/sys\/mnemosyne cannot be/)
  })
})

describe('a store of a newer version', () => {
  const ADD = "insert into schema_migrations values ('zzzz-9999-from-the-future', '2999-01-01T00:00:00.000Z')"
  const REMOVE = "delete from schema_migrations where name like 'zzzz%'"
  test.each([
    ['auth.db', ADD, REMOVE],
    ['library.db', ADD, REMOVE],
    ['ingest.db', ADD, REMOVE],
    ['graph.db', 'pragma user_version = 999', ''],
  ])('(%s) is refused and left as it is', async (name, add, remove) => {
    const file = join(used, name)
    const version = userVersion(file)
    edit(file, add)
    try {
      const before = contents(used)
      const { detail } = await refusedOnce(used)
      expect(detail).toMatch(/zzzz-9999-from-the-future|schema 999/)
      expect(detail).toMatch(/newer version.*(Upgrade|Update)/s)
      expect(contents(used)[name]).toBe(before[name])
    } finally {
      edit(file, `${remove}; pragma user_version = ${version}`)
    }
  })
})

test('a store that is no database is named', async () => {
  const dir = join(folder.path, 'no-database')
  mkdirSync(dir)
  writeFileSync(join(dir, 'library.db'), 'These are notes of mine and no database. '.repeat(200))
  const { detail } = await refusedOnce(dir)
  expect(detail).toContain('library.db')
  expect(readFileSync(join(dir, 'library.db'), 'utf8')).toContain('notes of mine')
})

describe.concurrent('the environment', () => {
  const WRONG = {
    LOGGING_LEVEL: 'loud',
    WORKER_CONCURRENCY: '0',
    EMBEDDING_BATCH_SIZE: 'many',
    INGEST_PARSE_TIMEOUT_SECONDS: '-2',
    UPLOAD_MAX_BYTES: '1.5',
    ALLOWED_HOSTS: 'a host',
    MCP_REQUIRE_AUTH: 'perhaps',
    SEARCH_DEFAULT_LIMIT: 'x',
  }

  test('all that is wrong in it stands in one message, without the values', async () => {
    const dir = join(folder.path, 'never-made')
    const { code, detail } = await refusedStart(dir, { env: WRONG, args: ['--port', 'seaport'] })
    expect(code).toBe('CONFIG_INVALID')
    for (const name of ['MNEMOSYNE_PORT', ...Object.keys(WRONG)]) {
      expect(detail, name).toContain(name)
    }
    for (const value of ['seaport', 'loud', 'perhaps', 'a host']) expect(detail).not.toContain(value)
    expect(readdirSync(folder.path)).not.toContain('never-made')
  })

  test.each([
    ['DATABASE_URL', 'mysql://ada:hush-hush@db/mnemosyne'],
    ['DATABASE_URL', 'no url with hush-hush in it'],
    ['AMQP_URL', 'http://ada:hush-hush@broker/'],
    ['ASSERTION_KEYS', '{"hush-hush": 1}'],
    ['ASSERTION_KEYS', 'hush-hush'],
  ])('a wrong %s is refused without giving its secret away (%s)', async (name, value) => {
    const dir = join(folder.path, `secret-${name}-${value.length}`)
    const { code, stdout, stderr } = await mnemosyne(['up', '--empty', '--port', '0', '--data-dir', dir], {
      env: { [name]: value },
    })
    expect(code, stderr).toBe(3)
    expect(stderr.trim()).not.toBe('')
    expect(stdout + stderr).not.toContain('hush-hush')
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  test('--print-config shows it with secrets masked, and starts nothing', async () => {
    const env = {
      DATABASE_URL: 'postgres://ada:hush-hush@db/mnemosyne',
      AMQP_URL: 'amqp://ada:hush-hush@broker/',
      ASSERTION_KEYS: '{"keys": ["hush-hush"]}',
      WORKER_CONCURRENCY: '7',
    }
    const dir = join(folder.path, 'printed')
    const { code, stdout, stderr } = await mnemosyne(['up', '--print-config', '--data-dir', dir], { env })
    expect(code, stderr).toBe(0)
    expect(stdout).toContain('WORKER_CONCURRENCY=7')
    expect(stdout).toMatch(/^DATABASE_URL=\*+$/m)
    expect(stdout + stderr).not.toContain('hush-hush')
    expect(readdirSync(folder.path)).not.toContain('printed')
  })

  test.each([['up', '--port', 'x1'], ['up', '--port', '70000'], ['up', '--bogus'], ['bogus'], []])(
    'a command line %s %s %s is refused',
    async (...args) => {
      const words = args.filter((word) => word !== undefined)
      const { code, stderr, stdout } = await mnemosyne(words, { cwd: folder.path })
      expect(code).not.toBe(0)
      expect(code).toBeLessThanOrEqual(3)
      expect(stderr + stdout).not.toMatch(/\n\s+at |node:internal/)
    },
  )
})

/** As `refusedStart`, for a folder in which two starts would meet each other. */
async function refusedOnce(dataDir: string, env?: Record<string, string>) {
  const { code, stdout, stderr } = await mnemosyne(
    ['up', '--empty', '--port', '0', '--data-dir', dataDir, '--json'],
    { env },
  )
  expect(code, stdout + stderr).toBe(3)
  expect(stderr).toBe('')
  return (JSON.parse(stdout) as { error: { code: string; detail: string } }).error
}

function userVersion(file: string): number {
  const db = new DatabaseSync(file)
  const row = db.prepare('pragma user_version').get() as { user_version: number }
  db.close()
  return row.user_version
}

function edit(file: string, statement: string): void {
  const db = new DatabaseSync(file)
  db.exec(statement)
  db.close()
}
