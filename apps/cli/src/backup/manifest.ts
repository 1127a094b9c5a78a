import { randomUUID } from 'node:crypto'
import { chmod, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { BackupError } from './errors.ts'
import { Sealing } from './sealing.ts'

/** Raised when an older program could not read what this one writes. 2: secrets are sealed or left out. */
const BACKUP_FORMAT = 2

const File = z.object({ file: z.string(), bytes: z.number().int(), sha256: z.string() })

/** Columns that hold secrets; `values` of them are sealed or left out, each bound to the key of its row. */
const Secrets = z.object({ columns: z.array(z.string()), key: z.array(z.string()), values: z.int() })
export type Secrets = z.infer<typeof Secrets>

const Table = File.extend({
  table: z.string(),
  rows: z.number().int(),
  /** The column that numbers the rows by itself. */
  identity: z.string().optional(),
  /** Not in format 1, which has them in the clear. */
  secrets: Secrets.optional(),
})
export type TableEntry = z.infer<typeof Table>

const Schema = z.object({
  schema: z.string(),
  /** The migrations that had been run, in order. */
  migrations: z.array(z.string()),
  /** Each after those that its rows refer to. */
  tables: z.array(Table),
})
export type SchemaEntry = z.infer<typeof Schema>

export const Manifest = z.object({
  format: z.number().int(),
  backup_id: z.string(),
  program_version: z.string(),
  /** The rows are as they were at this moment, but for `newer_items`. */
  started_at: z.string(),
  completed_at: z.string(),
  schemas: z.array(Schema),
  /** The list of the blobs, and their sum. */
  blobs: File.extend({ count: z.number().int(), total_bytes: z.number().int() }),
  /** Names of the models whose vectors are in the blobs. */
  embedding_models: z.array(z.string()),
  /** Of documents that are taken in. */
  content: z.object({ items: z.number().int(), chunks: z.number().int() }),
  /** Items that changed while their files were copied: their rows are of a later moment. */
  newer_items: z.array(z.string()),
  /** What was wrong with the stores themselves. */
  problems: z.array(z.object({ item_uid: z.string(), problem: z.string() })),
  /** How secrets are sealed; null: they are left out. */
  sealing: Sealing.nullable().default(null),
})
export type Manifest = z.infer<typeof Manifest>

const MANIFEST = 'manifest.json'
const UNFINISHED = 'unfinished.json'

/** Where a backup keeps its blobs, as files by key. */
export const blobFolder = (dir: string): string => join(dir, 'blobs')

export interface BackupFolder {
  dir: string
  backupId: string
}

/**
 * Makes the folder (mode 0700), or finds one in which a backup was cut short. Throws `BackupError` when there is
 * something else in it.
 */
export async function openBackupFolder(dir: string): Promise<BackupFolder> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const names = await readdir(dir)
  if (names.includes(MANIFEST)) {
    throw new BackupError('BACKUP_FOLDER', `There is a complete backup in ${dir}. Choose another folder.`)
  }
  if (names.includes(UNFINISHED)) {
    const { backup_id } = await readUnfinished(dir)
    return { dir, backupId: backup_id }
  }
  // A file of ours that was not renamed yet.
  if (names.some((name) => name !== `${UNFINISHED}.new`)) {
    throw new BackupError('BACKUP_FOLDER', `${dir} is not empty, and no backup. Choose another folder.`)
  }
  await chmod(dir, 0o700)
  const backupId = randomUUID()
  await writeDurably(dir, UNFINISHED, { format: BACKUP_FORMAT, backup_id: backupId })
  return { dir, backupId }
}

async function readUnfinished(dir: string): Promise<{ backup_id: string }> {
  const { format, ...unfinished } = await readJson(
    dir,
    UNFINISHED,
    z.object({ format: z.number(), backup_id: z.string() }),
  )
  if (format <= BACKUP_FORMAT) return unfinished
  throw newer(dir)
}

/** Values of secret columns that are sealed or left out. */
export function secretsIn({ schemas }: Pick<Manifest, 'schemas'>): number {
  return schemas.flatMap(({ tables }) => tables).reduce((sum, { secrets }) => sum + (secrets?.values ?? 0), 0)
}

/** The last act of a backup: with this it is complete. */
export async function completeBackup(
  { dir }: BackupFolder,
  manifest: Omit<Manifest, 'format'>,
): Promise<Manifest> {
  const complete = { format: BACKUP_FORMAT, ...manifest }
  await writeDurably(dir, MANIFEST, complete)
  await rm(join(dir, UNFINISHED))
  return complete
}

/** Throws `BackupError` when the backup is incomplete, damaged or of a newer program. */
export async function readManifest(dir: string): Promise<Manifest> {
  const names: string[] = await readdir(dir).catch(() => [])
  if (!names.includes(MANIFEST)) {
    throw new BackupError(
      'BACKUP_INCOMPLETE',
      names.includes(UNFINISHED)
        ? `The backup in ${dir} was cut short. Run "mnemosyne backup ${dir}" again where it was made: it goes on.`
        : `There is no backup in ${dir}.`,
    )
  }
  const { format } = await readJson(dir, MANIFEST, z.object({ format: z.number() }))
  if (format > BACKUP_FORMAT) throw newer(dir)
  return readJson(dir, MANIFEST, Manifest)
}

const newer = (dir: string) =>
  new BackupError(
    'BACKUP_NEWER',
    `The backup in ${dir} was made by a newer version. Upgrade Mnemosyne first.`,
  )

async function readJson<T>(dir: string, name: string, shape: z.ZodType<T>): Promise<T> {
  try {
    return shape.parse(JSON.parse(await readFile(join(dir, name), 'utf8')))
  } catch (cause) {
    throw new BackupError('BACKUP_DAMAGED', `${join(dir, name)} cannot be read as what it should be.`, {
      cause,
    })
  }
}

async function writeDurably(dir: string, name: string, content: unknown): Promise<void> {
  const temporary = join(dir, `${name}.new`)
  await writeFile(temporary, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flush: true })
  await rename(temporary, join(dir, name))
  await syncFolder(dir)
}

/** Names in a folder are durable when the folder is. */
export async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
