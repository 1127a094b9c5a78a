import { createCipheriv, createDecipheriv, randomBytes, type ScryptOptions, scrypt } from 'node:crypto'
import { z } from 'zod'
import { BackupError } from './errors.ts'

/** Where a secret stands: a sealed value is good there and nowhere else. */
export interface Place {
  /** `schema.table` */
  table: string
  /** The row's key. */
  key: readonly unknown[]
  column: string
}

/** Seals one value: base64 of nonce, AES-256-GCM ciphertext and tag. */
export type Seal = (value: unknown, place: Place) => string
/** Throws `BackupError` when the text is not what was sealed at this place. */
export type Unseal = (sealed: string, place: Place) => unknown

/** How the key was made from the passphrase, and a value that only that key opens. */
export const Sealing = z.object({
  kdf: z.literal('scrypt'),
  /** CPU and memory cost, block size, parallelism (RFC 7914); at most 1 GiB, whatever a manifest says. */
  N: z.int().min(2).max(1_048_576),
  r: z.int().min(1).max(8),
  p: z.int().min(1).max(16),
  /** base64 */
  salt: z.base64(),
  check: z.base64(),
})
export type Sealing = z.infer<typeof Sealing>

/** OWASP Password Storage Cheat Sheet, scrypt: 128 MiB for some half a second. */
const COST = { N: 131_072, r: 8, p: 1 }
const KEY_BYTES = 32
const SALT_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16
const CHECK: Place = { table: 'manifest', key: [], column: 'check' }
const CHECKED = 'the passphrase is right'

/** A key of its own for each attempt at a backup. */
export async function createSealing(
  passphrase: string,
  backupId: string,
): Promise<{ sealing: Sealing; seal: Seal }> {
  const salt = randomBytes(SALT_BYTES)
  const key = await keyFrom(passphrase, salt, COST)
  const seal: Seal = (value, place) => {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(boundTo(backupId, place))
    const sealed = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()])
    return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64')
  }
  const check = seal(CHECKED, CHECK)
  return { sealing: { kdf: 'scrypt', ...COST, salt: salt.toString('base64'), check }, seal }
}

/** Throws `BackupError` `PASSPHRASE_WRONG`. */
export async function openSealing(passphrase: string, backupId: string, sealing: Sealing): Promise<Unseal> {
  const { N, r, p, salt, check } = sealing
  const key = await keyFrom(passphrase, Buffer.from(salt, 'base64'), { N, r, p })
  const open = (sealed: string, place: Place): unknown => {
    const bytes = Buffer.from(sealed, 'base64')
    const options = { authTagLength: TAG_BYTES }
    const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), options)
      .setAAD(boundTo(backupId, place))
      .setAuthTag(bytes.subarray(-TAG_BYTES))
    const text = Buffer.concat([cipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), cipher.final()])
    return JSON.parse(text.toString('utf8'))
  }
  try {
    open(check, CHECK)
  } catch (cause) {
    const message = 'This is not the passphrase that the backup was made with. Nothing was restored.'
    throw new BackupError('PASSPHRASE_WRONG', message, { cause })
  }
  return (sealed, place) => {
    try {
      return open(sealed, place)
    } catch (cause) {
      const message = `A secret of ${place.table} in the backup is not what was sealed there: it was changed or moved.`
      throw new BackupError('BACKUP_DAMAGED', message, { cause })
    }
  }
}

const boundTo = (backupId: string, { table, key, column }: Place) =>
  Buffer.from(JSON.stringify(['mnemosyne backup', backupId, table, key, column]))

/** The same passphrase whichever way a keyboard composes its letters. */
function keyFrom(passphrase: string, salt: Buffer, cost: typeof COST): Promise<Buffer> {
  const options: ScryptOptions = { ...cost, maxmem: 128 * cost.N * cost.r + 128 * cost.r * (cost.p + 2) * 2 }
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFC'), salt, KEY_BYTES, options, (error, key) => {
      if (error) reject(error)
      else resolve(key)
    })
  })
}
