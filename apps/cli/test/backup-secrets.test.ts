import { createHash, randomUUID } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { type DomainError, systemClock } from '@mnemosyne/platform'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readManifest } from '../src/backup/manifest.ts'
import { openStoresAlone } from '../src/backup/open-stores-alone.ts'
import { openSecrets, restoreBackup } from '../src/backup/restore.ts'
import { type BackupStep, takeBackup } from '../src/backup/take-backup.ts'
import { openIn, settingsOf } from './filled-system.ts'

const PASSPHRASE = 'the tide turns at noon'
const KEYS_FILE = join('rows', 'auth.signing_key.jsonl.gz')

let home: string
let original: string
/** Of the signing keys, as they stand in the database. */
let secrets: string[]
let sealed: string
let bare: string

const fresh = (name: string) => join(home, `${name}-${randomUUID().slice(0, 8)}`)

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mnemosyne-secrets-'))
  original = fresh('original')
  const system = await openIn(original)
  const user = { username: 'ada', email: '', staff: true, superuser: true, password: 'correct horse' }
  await system.admin.createUser(user)
  for (const kid of ['older', 'newer']) await system.admin.seedSigningKey({ kid, retireOther: false })
  await system.close()
  secrets = (await keysOf(original)).map(({ secret }) => secret)
  sealed = await take(PASSPHRASE)
  bare = await take()
})
afterAll(() => rm(home, { recursive: true, force: true }))

async function keysOf(dataDir: string) {
  await using alone = await openStoresAlone(settingsOf(dataDir))
  return await alone.stores.sql.auth.read.selectFrom('signing_key').selectAll().orderBy('kid').execute()
}

async function take(passphrase?: string): Promise<string> {
  const dir = fresh('backup')
  await using alone = await openStoresAlone(settingsOf(original))
  await takeBackup(alone.stores, dir, { version: '0', clock: systemClock, passphrase })
  return dir
}

interface With {
  passphrase?: string
  withoutSecrets?: boolean
  onStep?: (step: BackupStep) => void
}

async function restore(dir: string, dataDir: string, { onStep, ...given }: With = {}) {
  const unseal = await openSecrets(await readManifest(dir), given)
  await using alone = await openStoresAlone(settingsOf(dataDir))
  return await restoreBackup(alone.stores, dir, { clock: systemClock, unseal, onStep })
}

/** Every byte of a backup, unpacked. */
async function textOf(dir: string): Promise<string> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const texts = entries
    .filter((entry) => entry.isFile())
    .map(async ({ parentPath, name }) => {
      const bytes = await readFile(join(parentPath, name))
      return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1')
    })
  return (await Promise.all(texts)).join('\n')
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => ({ code: 'nothing thrown', message: '' }),
    ({ code, message }: DomainError) => ({ code, message }),
  )

test('no secret is in a backup in the clear, with a passphrase or without', async () => {
  expect(secrets).toHaveLength(2)
  for (const dir of [sealed, bare]) {
    const text = await textOf(dir)
    for (const secret of secrets) {
      const bytes = Buffer.from(secret, 'hex')
      for (const form of [secret, bytes.toString('base64'), Buffer.from(secret).toString('base64')]) {
        expect(text).not.toContain(form)
      }
    }
    expect(text).not.toContain(PASSPHRASE)
  }
})

test('with the passphrase the keys come back as they were', async () => {
  const dataDir = fresh('restored')
  expect(await restore(sealed, dataDir, { passphrase: PASSPHRASE })).toMatchObject({ lost_keys: [] })
  expect(await keysOf(dataDir)).toEqual(await keysOf(original))
})

describe('without the secrets', () => {
  test.each([
    ['a backup that has none', () => bare, {}],
    ['a sealed one, on request', () => sealed, { withoutSecrets: true }],
  ])('of %s every key is retired for good, and is told of', async (_, dir, given) => {
    const dataDir = fresh('restored')
    expect(await restore(dir(), dataDir, given)).toMatchObject({ lost_keys: ['newer', 'older'] })
    const keys = await keysOf(dataDir)
    expect(keys).toMatchObject(
      ['newer', 'older'].map((kid) => ({
        kid,
        secret: '',
        is_current: 0,
        retired_at: expect.stringContaining('T'),
      })),
    )
    const system = await openIn(dataDir)
    const seed = (kid: string) => system.admin.seedSigningKey({ kid, retireOther: false })
    expect((await refusal(seed('newer'))).code).toBe('SIGNING_KEY_RETIRED')
    expect(await seed('fresh')).toMatchObject({ created: true })
    const { read } = system.stores.sql.auth
    const retired = await read
      .selectFrom('audit_log')
      .select(['target', 'actor'])
      .where('action', '=', 'signing_key.retired')
      .execute()
    await system.close()
    expect(retired.map(({ target }) => target).sort()).toEqual(['newer', 'older'])
  })
})

describe('refused, with nothing written', () => {
  /** A copy of the sealed backup whose rows of keys were changed by somebody who can count hashes. */
  async function changed(change: (rows: Record<string, unknown>[]) => unknown[]): Promise<string> {
    const dir = fresh('changed')
    await cp(sealed, dir, { recursive: true })
    const lines = gunzipSync(await readFile(join(dir, KEYS_FILE)))
      .toString()
      .trim()
      .split('\n')
    const rows = change(lines.map((line) => JSON.parse(line) as Record<string, unknown>))
    const bytes = gzipSync(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    await writeFile(join(dir, KEYS_FILE), bytes)
    const manifest = await readManifest(dir)
    const table = manifest.schemas.flatMap(({ tables }) => tables).find(({ file }) => file === KEYS_FILE)!
    table.bytes = bytes.length
    table.sha256 = createHash('sha256').update(bytes).digest('hex')
    await writeFile(join(dir, 'manifest.json'), JSON.stringify(manifest))
    return dir
  }
  const emptyAfter = async (dataDir: string) => {
    await using alone = await openStoresAlone(settingsOf(dataDir))
    expect(await alone.stores.sql.auth.read.introspection.getTables()).toEqual([])
  }

  test.each<[string, With, string, string]>([
    ['no passphrase', {}, 'PASSPHRASE_NEEDED', '--without-secrets'],
    ['an empty one', { passphrase: '' }, 'PASSPHRASE_NEEDED', '--passphrase-file'],
    ['a wrong one', { passphrase: `${PASSPHRASE}!` }, 'PASSPHRASE_WRONG', 'not the passphrase'],
  ])('a sealed backup with %s', async (_, given, code, words) => {
    const dataDir = fresh('untouched')
    expect(await refusal(restore(sealed, dataDir, given))).toEqual({
      code,
      message: expect.stringContaining(words),
    })
    await emptyAfter(dataDir)
  })

  test.each<[string, (rows: Record<string, unknown>[]) => unknown[]]>([
    [
      'exchanged between two keys',
      ([one, two]) => [
        { ...one, secret: two!.secret },
        { ...two, secret: one!.secret },
      ],
    ],
    ['given another name', ([one, ...rest]) => [{ ...one, kid: 'mine' }, ...rest]],
    ['cut short', ([one, ...rest]) => [{ ...one, secret: { sealed: 'AAAA' } }, ...rest]],
  ])('a secret that was %s', async (_, change) => {
    const dataDir = fresh('untouched')
    const { code, message } = await refusal(
      restore(await changed(change), dataDir, { passphrase: PASSPHRASE }),
    )
    expect({ code, message }).toEqual({
      code: 'BACKUP_DAMAGED',
      message: expect.stringContaining('auth.signing_key'),
    })
    await emptyAfter(dataDir)
  })

  test('a secret of another backup with the same passphrase', async () => {
    const other = await take(PASSPHRASE)
    const dir = await changed((rows) => rows)
    await cp(join(other, KEYS_FILE), join(dir, KEYS_FILE))
    const from = await readManifest(other)
    const manifest = await readManifest(dir)
    await writeFile(join(dir, 'manifest.json'), JSON.stringify({ ...from, backup_id: manifest.backup_id }))
    expect((await refusal(restore(dir, fresh('untouched'), { passphrase: PASSPHRASE }))).code).toBe(
      'PASSPHRASE_WRONG',
    )
  })

  test('a manifest that asks for more memory than a passphrase may cost', async () => {
    const dir = fresh('greedy')
    await cp(sealed, dir, { recursive: true })
    const manifest = await readManifest(dir)
    const sealing = { ...manifest.sealing, N: 2 ** 30 }
    await writeFile(join(dir, 'manifest.json'), JSON.stringify({ ...manifest, sealing }))
    expect((await refusal(restore(dir, fresh('untouched'), { passphrase: PASSPHRASE }))).code).toBe(
      'BACKUP_DAMAGED',
    )
  })
})

describe('cut short', () => {
  const breakAt = (step: BackupStep['step'], done: number) => (at: BackupStep) => {
    if (at.step === step && at.done === done) throw new Error('cut short')
  }

  test('a backup goes on with another passphrase, which is the one that opens it', async () => {
    const dir = fresh('backup')
    await using alone = await openStoresAlone(settingsOf(original))
    const options = { version: '0', clock: systemClock, onStep: breakAt('rows', 1) }
    const broken = takeBackup(alone.stores, dir, { ...options, passphrase: 'the first passphrase' })
    await expect(broken).rejects.toThrow('cut short')
    await takeBackup(alone.stores, dir, { ...options, onStep: undefined, passphrase: PASSPHRASE })
    await alone[Symbol.asyncDispose]()
    const dataDir = fresh('restored')
    await restore(dir, dataDir, { passphrase: PASSPHRASE })
    expect(await keysOf(dataDir)).toEqual(await keysOf(original))
  })

  test('a restore goes on with the passphrase', async () => {
    const dataDir = fresh('restored')
    const broken = restore(sealed, dataDir, { passphrase: PASSPHRASE, onStep: breakAt('rows', 1) })
    await expect(broken).rejects.toThrow('cut short')
    expect((await refusal(restore(sealed, dataDir))).code).toBe('PASSPHRASE_NEEDED')
    await restore(sealed, dataDir, { passphrase: PASSPHRASE })
    expect(await keysOf(dataDir)).toEqual(await keysOf(original))
  })

  test('a restore that was begun without the secrets says so to the end', async () => {
    const dataDir = fresh('restored')
    const begun = restore(sealed, dataDir, { withoutSecrets: true, onStep: breakAt('rows', 2) })
    await expect(begun).rejects.toThrow('cut short')
    expect(await restore(sealed, dataDir, { passphrase: PASSPHRASE })).toMatchObject({
      lost_keys: ['newer', 'older'],
    })
  })
})
