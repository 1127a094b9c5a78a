import {
  AbortMultipartUploadCommand,
  ChecksumAlgorithm,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { S3Connection } from './s3-connection.ts'

/** S3 allows 10,000 parts of 5 MiB or more, all but the last of one size. Two are in memory at once. */
const PART_BYTES = 8 * 1_048_576
/** For telling the server to drop the parts of a failed upload; `dropUnfinished` finds what it did not hear of. */
const DROP_MS = 5_000

/**
 * Stores `chunks` under `key`, in one request when they are few. When it rejects nothing is stored, and no part is
 * left unless the server could not be told.
 * Not by lib-storage's `Upload`: that hands no signal to the requests under way, goes on in the background after an
 * abort, so that a blob may appear later, and hides the reason of a failure behind that of its clean-up.
 */
export async function upload(
  connection: S3Connection,
  key: string,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const parts = inParts(chunks)
  try {
    const first = (await parts.next()).value ?? new Uint8Array()
    const second = (await parts.next()).value
    if (second) await uploadParts(connection, key, [first, second], parts, signal)
    else await putWhole(connection, key, first, signal)
  } finally {
    await parts.return(undefined)
  }
}

async function putWhole(
  connection: S3Connection,
  key: string,
  body: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const command = new PutObjectCommand({ Bucket: connection.bucket, Key: key, Body: body })
  await connection.call('PutObject', (client) => client.send(command, { abortSignal: signal }))
}

/** Sends a part while the next one fills. */
async function uploadParts(
  connection: S3Connection,
  key: string,
  waiting: Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sdk = { abortSignal: signal }
  const blob = { Bucket: connection.bucket, Key: key }
  const begin = new CreateMultipartUploadCommand({ ...blob, ChecksumAlgorithm: ChecksumAlgorithm.CRC32 })
  const { UploadId } = await connection.call('CreateMultipartUpload', (client) => client.send(begin, sdk))
  const parts: CompletedPart[] = []
  const send = async (Body: Uint8Array) => {
    const PartNumber = parts.length + 1
    const command = new UploadPartCommand({ ...blob, UploadId, PartNumber, Body })
    const { ETag, ChecksumCRC32 } = await connection.call('UploadPart', (client) => client.send(command, sdk))
    parts.push({ PartNumber, ETag, ChecksumCRC32 })
  }
  let sending: Promise<void> = Promise.resolve()
  try {
    for await (const part of concat(waiting, rest)) {
      await sending
      sending = send(part)
      // Looked at when the next part is there; until then nobody listens.
      sending.catch(() => {})
    }
    await sending
    const end = new CompleteMultipartUploadCommand({ ...blob, UploadId, MultipartUpload: { Parts: parts } })
    await connection.call('CompleteMultipartUpload', (client) => client.send(end, sdk))
  } catch (error) {
    // A part that arrives after the others were dropped would stay.
    await sending.catch(() => {})
    await drop(connection, key, UploadId, AbortSignal.timeout(DROP_MS)).catch(() => {})
    throw error
  }
}

/** Drops uploads that began before `before` and never ended: their process died, or the server could not be told. */
export async function dropUnfinished(connection: S3Connection, before: Date): Promise<number> {
  let dropped = 0
  let after: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {}
  while (after) {
    const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({
      Bucket: connection.bucket,
      ...after,
    })
    const page = await connection.call('ListMultipartUploads', (client) => client.send(command))
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (!Key || !Initiated || Initiated >= before) continue
      await drop(connection, Key, UploadId)
      dropped += 1
    }
    after = page.IsTruncated
      ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      : undefined
  }
  return dropped
}

async function drop(
  connection: S3Connection,
  key: string,
  UploadId: string | undefined,
  abortSignal?: AbortSignal,
): Promise<void> {
  const command = new AbortMultipartUploadCommand({ Bucket: connection.bucket, Key: key, UploadId })
  await connection.call('AbortMultipartUpload', (client) => client.send(command, { abortSignal }))
}

/** Cut into parts of PART_BYTES; the last is smaller. */
async function* inParts(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
  let part: Uint8Array[] = []
  let filled = 0
  for await (const chunk of chunks) {
    let from = 0
    while (filled + chunk.length - from >= PART_BYTES) {
      const until = from + PART_BYTES - filled
      yield Buffer.concat([...part, chunk.subarray(from, until)])
      part = []
      filled = 0
      from = until
    }
    if (from < chunk.length) part.push(chunk.subarray(from))
    filled += chunk.length - from
  }
  if (filled > 0) yield Buffer.concat(part)
}

async function* concat<T>(first: T[], rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield* first
  yield* rest
}
