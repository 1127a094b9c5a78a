import { BlobKeyError } from './port.ts'

/** S3 allows 1,024 bytes, of which a bucket may want some for a prefix. */
const MAX_KEY_BYTES = 900
/** Of one name, on every usual file system. */
const MAX_NAME_BYTES = 255

/** Throws `BlobKeyError` unless `key` means the same single file in a folder and in a bucket. */
export function checkKey(key: string): void {
  const fault = faultOf(key)
  if (fault) throw new BlobKeyError(`${JSON.stringify(key.slice(0, 100))} is no file's key: ${fault}.`)
}

/** Throws `BlobKeyError` unless `prefix` ends in `/` and could begin a key. */
export function checkPrefix(prefix: string): void {
  if (!prefix.endsWith('/')) {
    throw new BlobKeyError(`${JSON.stringify(prefix.slice(0, 100))} is no prefix: it has to end in /.`)
  }
  checkKey(prefix.slice(0, -1))
}

function faultOf(key: string): string | undefined {
  if (key === '') return 'it is empty'
  if (!key.isWellFormed()) return 'it is no valid Unicode'
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `it is longer than ${MAX_KEY_BYTES} bytes`
  if (key.includes('\\')) return 'it has a backslash'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it looks for
  if (/[\0-\x1f\x7f]/.test(key)) return 'it has a control character'
  if (key.startsWith('/')) return 'it begins with /'
  const names = key.split('/')
  if (names.includes('')) return 'it has an empty name'
  if (names.includes('.') || names.includes('..')) return 'it has . or .. for a name'
  if (names.some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES)) {
    return `it has a name of more than ${MAX_NAME_BYTES} bytes`
  }
  return undefined
}
