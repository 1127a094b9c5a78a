import { agreeWithLibraries, retireLostKeys } from '@mnemosyne/auth'
import { forget, jobsByItem, resumeJobs } from '@mnemosyne/ingest'
import { agreeWithJobs, settleLibraries } from '@mnemosyne/library'
import { type BlobStore, type Clock, openFolderBlobs, type StoredBlob } from '@mnemosyne/platform'
import type { Stores } from '../system/open-stores.ts'
import { BlobCopies, forEach } from './blob-copies.ts'
import { checkBackup, SCHEMAS } from './check-backup.ts'
import { BackupError } from './errors.ts'
import { damaged } from './line-files.ts'
import { beginSchema, endSchema, loadSchema, type SchemaState, stateOfSchema } from './load-rows.ts'
import { blobFolder, type Manifest, readManifest, secretsIn } from './manifest.ts'
import { type RebuildReport, rebuildGraph } from './rebuild.ts'
import { openSealing, type Unseal } from './sealing.ts'
import type { BackupOptions, BackupStep } from './take-backup.ts'

export interface RestoreReport {
  backup_id: string
  rows: number
  blobs: number
  /** Jobs that were waiting or in hand, and go on at the next start. */
  waiting_jobs: number
  /** Signing keys that came back without their secret, and are retired: what they have signed is good no more. */
  lost_keys: string[]
  graph: RebuildReport
}

const AT_ONCE = 4

/**
 * What opens the secrets of a backup; undefined when none are sealed, or they are to stay behind. Throws
 * `BackupError` when there is no passphrase, or another one.
 */
export async function openSecrets(
  manifest: Manifest,
  { passphrase, withoutSecrets }: { passphrase?: string; withoutSecrets?: boolean },
): Promise<Unseal | undefined> {
  const { sealing, backup_id } = manifest
  if (withoutSecrets || !sealing || secretsIn(manifest) === 0) return undefined
  if (passphrase) return openSealing(passphrase, backup_id, sealing)
  throw new BackupError(
    'PASSPHRASE_NEEDED',
    'Secrets in this backup are sealed with a passphrase. Give it with --passphrase-file or ' +
      'MNEMOSYNE_BACKUP_PASSPHRASE. With --without-secrets all else is restored: the signing keys are retired then, ' +
      'and the tokens of teams are good no more.',
  )
}

export interface RestoreOptions extends Pick<BackupOptions, 'clock' | 'onStep' | 'signal'> {
  /** From {@link openSecrets}. */
  unseal: Unseal | undefined
}

/**
 * Brings a backup back into empty stores, whatever adapters they are, and makes the graph again. Nothing else may
 * work on them meanwhile; services refuse to start until this has ended. Cut short, it goes on when it is run again.
 * Throws `BackupError` before anything is written when the backup is damaged or newer, or the stores hold something.
 */
export async function restoreBackup(
  stores: Stores,
  dir: string,
  { clock, unseal, onStep = () => {}, signal }: RestoreOptions,
): Promise<RestoreReport> {
  const manifest = await readManifest(dir)
  await using from = await openFolderBlobs(blobFolder(dir))
  const blobs = await checkBackup(dir, manifest, from, {
    unseal,
    onProgress: (done, of) => onStep({ step: 'check', done, of }),
  })
  signal?.throwIfAborted()
  const begun = await beginStores(stores, manifest)
  for (const [index, record] of begun.entries()) {
    await loadSchema(sqlOf(stores, record.schema), record, entryOf(manifest, record.schema), {
      dir,
      backupId: manifest.backup_id,
      unseal,
    })
    onStep({ step: 'rows', done: index + 1, of: begun.length })
  }
  await copyBlobs(from, stores.blobs, dir, blobs, onStep, signal)
  await agree(stores, clock)
  const lost_keys = await retireLostKeys({ sql: stores.sql.auth, clock })
  const waiting_jobs = await resumeJobs(stores.sql.ingest, clock)
  const graph = await rebuildGraph(stores, { all: false, onStep, signal })
  for (const { schema } of begun) await endSchema(sqlOf(stores, schema), manifest.backup_id)
  const rows = manifest.schemas.flatMap(({ tables }) => tables).reduce((sum, table) => sum + table.rows, 0)
  return { backup_id: manifest.backup_id, rows, blobs: blobs.size, waiting_jobs, lost_keys, graph }
}

type AnySql = Parameters<typeof loadSchema>[0]

const sqlOf = (stores: Stores, schema: string) =>
  stores.sql[schema as keyof Stores['sql']] as unknown as AnySql

function entryOf(manifest: Manifest, schema: string): Manifest['schemas'][number] {
  const entry = manifest.schemas.find((one) => one.schema === schema)
  if (entry) return entry
  throw new BackupError('BACKUP_DAMAGED', `The manifest says nothing of ${schema}.`)
}

/**
 * Marks the schemas, when all stores are empty or this restore was begun in them. Returns those that are to be
 * loaded: the last attempt may have been cut short when it had ended some.
 */
async function beginStores(stores: Stores, manifest: Manifest): Promise<(typeof SCHEMAS)[number][]> {
  const id = manifest.backup_id
  const states = new Map<string, SchemaState>()
  for (const { schema } of SCHEMAS) states.set(schema, await stateOfSchema(sqlOf(stores, schema), schema, id))
  if (![...states.values()].includes('begun')) await refuseFilled(stores, states)
  for (const record of SCHEMAS) {
    if (states.get(record.schema) !== 'empty') continue
    await beginSchema(sqlOf(stores, record.schema), record, entryOf(manifest, record.schema), id)
  }
  return SCHEMAS.filter(({ schema }) => states.get(schema) !== 'filled')
}

async function refuseFilled(stores: Stores, states: Map<string, SchemaState>): Promise<void> {
  const filled = [...states]
    .filter(([, state]) => state === 'filled')
    .map(([schema]) => `the database of ${schema}`)
  filled.push(...(await filledBesideSql(stores)))
  if (filled.length === 0) return
  throw new BackupError(
    'STORES_NOT_EMPTY',
    `A backup is restored into empty stores only, and there is something in ${filled.join(', ')}. ` +
      'Restore into another data folder (--data-dir), or into empty databases and an empty bucket.',
  )
}

async function filledBesideSql({ blobs, graph }: Stores): Promise<string[]> {
  const filled: string[] = []
  for await (const _ of blobs.list('')) {
    filled.push('the store of documents')
    break
  }
  const { libraries, items } = await graph.stats()
  if (libraries + items > 0) filled.push('the graph')
  return filled
}

async function copyBlobs(
  from: BlobStore,
  to: BlobStore,
  dir: string,
  blobs: Map<string, StoredBlob>,
  onStep: (step: BackupStep) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const copies = new BlobCopies(from, to, signal)
  let done = 0
  await forEach(blobs, AT_ONCE, async ([key, { sha256 }]) => {
    await copies.copy(key, sha256)
    if (copies.entries.get(key)?.sha256 !== sha256) throw damaged(`${blobFolder(dir)}/${key}`)
    onStep({ step: 'files', done: ++done, of: blobs.size })
  })
}

/** Brings the services' schemas into line, which were read one after the other while the system worked. */
async function agree({ sql, blobs, graph }: Stores, clock: Clock): Promise<void> {
  const libraries = await settleLibraries(sql.library)
  const gone = await agreeWithJobs(sql.library, jobsByItem(sql.ingest))
  for (const uid of gone) await forget({ sql: sql.ingest, blobs, graph }, 'item_uid', uid)
  await agreeWithLibraries({ sql: sql.auth, clock }, libraries)
}
