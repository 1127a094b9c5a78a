import { BlobKeyError, BlobStoreFullError, BlobStoreRefusedError, BlobStoreUnavailableError } from './port.ts'
import type { S3VariableNames } from './s3-config.ts'

type Words = (variables: S3VariableNames) => string

const credentials: Words = (its) =>
  `The S3 server does not accept the credentials. Look at ${its.accessKeyId} and ${its.secretAccessKey}.`
const region: Words = (its) =>
  `The bucket is in another region, or at another address. Look at ${its.region} and ${its.endpoint}.`
const wordless: Words = (its) =>
  `The S3 server refuses without a word on the reason. Look at ${its.region}, ${its.bucket} and ${its.endpoint}.`
const noServer: Words = (its) => `What answers is no S3 server. Look at ${its.endpoint}.`

const REFUSALS: Record<string, Words> = {
  NoS3Server: noServer,
  InvalidAccessKeyId: (its) => `The S3 server does not know the access key. Look at ${its.accessKeyId}.`,
  SignatureDoesNotMatch: (its) =>
    `The secret is not that of the access key. Look at ${its.secretAccessKey} and ${its.accessKeyId}.`,
  InvalidToken: credentials,
  ExpiredToken: credentials,
  AccountProblem: credentials,
  AccessDenied: (its) =>
    `The credentials may not do this in the bucket, or there is no such file and they may not list. Look at ${its.bucket}, ${its.accessKeyId} and the rights of that key.`,
  NoSuchBucket: (its) => `There is no such bucket. Look at ${its.bucket} and ${its.endpoint}.`,
  CreateBucketDenied: (its) =>
    `There is no such bucket, and the credentials may not make it. Make it, or look at ${its.bucket} and ${its.endpoint}.`,
  InvalidBucketName: (its) => `The name of the bucket is none. Look at ${its.bucket}.`,
  BucketAlreadyExists: (its) => `The bucket belongs to somebody else. Look at ${its.bucket}.`,
  PermanentRedirect: region,
  AuthorizationHeaderMalformed: region,
  IllegalLocationConstraintException: region,
  InvalidLocationConstraint: region,
  RequestTimeTooSkewed: () =>
    'The clocks of this machine and of the S3 server differ by more than some minutes.',
}

/** Of Node and OpenSSL: a server that is there and speaks otherwise, or that can't be trusted. */
const TLS_FAULT = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|EPROTO$|HPE_)/
const FULL = new Set(['QuotaExceeded', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded'])
/** Of servers that keep blobs as files. */
const CLASHES = new Set(['ObjectParentIsFile', 'ExistingObjectIsDirectory', 'ExistingObjectIsFile'])
const DAMAGED = new Set([
  'BadDigest',
  'InvalidDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
])
const PASSING = new Set([
  'InternalError',
  'ServiceUnavailable',
  'SlowDown',
  'RequestTimeout',
  'OperationAborted',
  'IncompleteBody',
  'NoSuchUpload',
])

interface AnyFault {
  name?: string
  code?: unknown
  $metadata?: { httpStatusCode?: number }
}

export const httpStatusOf = (error: unknown): number | undefined =>
  (error as AnyFault)?.$metadata?.httpStatusCode

/** The SDK's words for a blob that is not there; the second is that of HEAD, for a bucket as well. */
export function isMissingBlob(error: unknown): error is Error {
  const { name } = error as AnyFault
  return name === 'NoSuchKey' || name === 'NotFound'
}

/** Of an error of the port. */
export function isMissingBucket(error: unknown): boolean {
  return error instanceof BlobStoreRefusedError && (error.cause as AnyFault)?.name === 'NoSuchBucket'
}

/** A fault that the server tells inside an answer, or does not tell: named by a code of the S3 API. */
export function faultNamed(code: string, cause?: unknown): Error {
  return Object.assign(new Error(`the S3 server says ${code}`, { cause }), { name: code })
}

/** What the SDK rejects with as an error of the port; what is neither the server's nor the network's stays as it is. */
export function explained(cause: unknown, variables: S3VariableNames): unknown {
  if (!(cause instanceof Error)) return cause
  const { name, code } = cause as AnyFault
  const status = httpStatusOf(cause)
  const word = name ?? ''
  const refused = (words: Words) => new BlobStoreRefusedError(words(variables), { cause })
  if (FULL.has(word) || status === 507) return new BlobStoreFullError({ cause })
  if (CLASHES.has(word))
    return new BlobKeyError('The key is the folder of another file, or has a file for a folder.', { cause })
  if (word === 'KeyTooLongError') return new BlobKeyError('The key is too long for the S3 server.', { cause })
  if (DAMAGED.has(word))
    return new BlobStoreUnavailableError('The file was damaged on its way to the S3 server.', { cause })
  if (Object.hasOwn(REFUSALS, word)) return refused(REFUSALS[word] as Words)
  if (PASSING.has(word) || status === 429 || (status && status >= 500 && status !== 501))
    return new BlobStoreUnavailableError(`The S3 server can't do it now (${status ?? word}).`, { cause })
  // An answer that could not be read: a page of another server.
  if ('$responseBodyText' in cause) return refused(noServer)
  if (status === undefined) return explainedNetwork(cause, code, refused)
  if (status === 403 || status === 401) return refused(REFUSALS.AccessDenied as Words)
  if (status >= 300 && status < 400 && status !== 304) return refused(region)
  // To HEAD.
  if (word === 'UnknownError' && status >= 400) return refused(wordless)
  return cause
}

function explainedNetwork(cause: Error, code: unknown, refused: (words: Words) => Error): unknown {
  if (typeof code === 'string' && TLS_FAULT.test(code))
    return refused(
      (its) =>
        `No secure connection to the S3 server (${code}). Look at ${its.endpoint}, ${its.useSsl} and ${its.verify}.`,
    )
  if (typeof code === 'string' || cause.name === 'TimeoutError')
    return new BlobStoreUnavailableError(
      `The S3 server does not answer (${typeof code === 'string' ? code : 'timeout'}).`,
      {
        cause,
      },
    )
  return cause
}
