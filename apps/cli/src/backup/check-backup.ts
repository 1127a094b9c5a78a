import { authSchema } from '@mnemosyne/auth'
import { ingestSchema } from '@mnemosyne/ingest'
import { librarySchema } from '@mnemosyne/library'
import type { BlobStore, StoredBlob } from '@mnemosyne/platform'
import { forEach, hashOf } from './blob-copies.ts'
import { BackupError } from './errors.ts'
import { checkFile, damaged, readLines } from './line-files.ts'
import { blobFolder, type Manifest } from './manifest.ts'
import type { Unseal } from './sealing.ts'
import { withSecrets } from './secret-columns.ts'

/** The schemas of a backup; each refers only to those before it. */
export const SCHEMAS = [authSchema, librarySchema, ingestSchema] as const

const AT_ONCE = 4

/**
 * Whether every file of a backup is as it was written, and of a level that this program knows, and every secret opens
 * where there is something to open it with. Returns the list of
 * its blobs. Throws `BackupError` with the file's name.
 */
export async function checkBackup(
  dir: string,
  manifest: Manifest,
  blobs: BlobStore,
  { unseal, onProgress }: { unseal?: Unseal; onProgress: (done: number, of: number) => void },
): Promise<Map<string, StoredBlob>> {
  for (const { schema, migrations } of manifest.schemas) {
    const known = SCHEMAS.find((one) => one.schema === schema)?.migrations.map(({ name }) => name) ?? []
    const unknown = migrations.filter((name) => !known.includes(name))
    if (unknown.length > 0) {
      const what = `The backup in ${dir} has a newer layout of ${schema} (${unknown.join(', ')}).`
      throw new BackupError('BACKUP_NEWER', `${what} Upgrade Mnemosyne first.`)
    }
  }
  for (const { tables } of manifest.schemas) for (const entry of tables) await checkFile(dir, entry)
  await checkFile(dir, manifest.blobs)
  if (unseal) await checkSecrets(dir, manifest, unseal)
  const list = await readBlobList(dir, manifest)
  let done = 0
  await forEach(list, AT_ONCE, async ([key, { sha256 }]) => {
    const stored = await hashOf(blobs, key).catch((cause: unknown) => {
      throw new BackupError('BACKUP_DAMAGED', `${blobFolder(dir)}/${key} cannot be read.`, { cause })
    })
    if (stored.sha256 !== sha256) throw damaged(`${blobFolder(dir)}/${key}`)
    onProgress(++done, list.size)
  })
  return list
}

async function checkSecrets(dir: string, { schemas }: Manifest, unseal: Unseal): Promise<void> {
  for (const { schema, tables } of schemas) {
    for (const { table, file, secrets } of tables) {
      if (!secrets) continue
      for await (const rows of readLines(dir, file)) {
        for (const row of rows) withSecrets(row, `${schema}.${table}`, secrets, unseal)
      }
    }
  }
}

async function readBlobList(dir: string, { blobs }: Manifest): Promise<Map<string, StoredBlob>> {
  const list = new Map<string, StoredBlob>()
  for await (const lines of readLines(dir, blobs.file)) {
    for (const { key, ...stored } of lines) list.set(key as string, stored as unknown as StoredBlob)
  }
  return list
}
