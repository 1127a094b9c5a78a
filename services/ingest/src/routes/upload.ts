import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { Busboy, type BusboyInstance } from '@fastify/busboy'
import { type Client, type libraryInternalContract, UPLOAD_PATH, UploadFields } from '@mnemosyne/contracts'
import {
  type AppEnv,
  actorOf,
  type BlobStore,
  BlobStoreFullError,
  BlobTooLargeError,
  FieldError,
  type RequestContext,
  SqlFullError,
  type StoredBlob,
} from '@mnemosyne/platform'
import type { Context, Hono } from 'hono'
import type { z } from 'zod'
import { type AcceptDeps, acceptSubmission, type Submission } from '../accept.ts'
import { NoSpaceError, UploadError, UploadTooLargeError } from '../errors.ts'
import { extensionOf } from '../worker/fetch-source.ts'
import { resolveTarget } from './router.ts'

export interface UploadDeps extends AcceptDeps {
  blobs: BlobStore
  library: Client<typeof libraryInternalContract>
  maxFileBytes: number
}

/** Blobs of uploads whose job has not copied them yet. */
export const UPLOADS = 'uploads/'

/** A folder for one upload, which tells when it began. */
function uploadFolder(now: Date): string {
  return `${UPLOADS}t${now.getTime().toString(36)}-${randomUUID()}/`
}

/** Whether the upload with this key began before `time`; one whose key does not tell is an old one. */
export function beganBefore(key: string, time: number): boolean {
  const began = /^uploads\/t([0-9a-z]+)-/.exec(key)?.[1]
  return began === undefined || Number.parseInt(began, 36) < time
}

/**
 * `POST /library/api/items/upload/`: fields, then `file` last, streamed to storage as it comes. The fields are
 * checked, and the target resolved, before the first byte of the file is stored.
 */
export function uploadRoute(
  app: Hono<AppEnv>,
  principalOf: (request: Request) => Promise<RequestContext>,
  deps: UploadDeps,
): void {
  app.post(UPLOAD_PATH.replace(/\/$/, ''), async (c) => {
    c.env.matched.operation = 'items.upload'
    const context = await principalOf(c.req.raw)
    const { created, job } = await receive(c, context, deps)
    return c.json(job, created ? 202 : 200)
  })
}

interface Received {
  fields: z.infer<typeof UploadFields>
  target: { library_uid: string; collection_uid: string | null }
  fileName: string
  fileType: string
  key: string
  stored: StoredBlob
}

async function receive(c: Context, context: RequestContext, deps: UploadDeps) {
  const folder = uploadFolder(deps.clock())
  const { fields, target, fileName, fileType, key, stored } = await readForm(c, context, deps, folder).catch(
    async (error: unknown) => {
      await deps.blobs.deletePrefix(folder).catch(() => undefined)
      if (error instanceof BlobTooLargeError) throw new UploadTooLargeError(deps.maxFileBytes)
      if (error instanceof BlobStoreFullError) throw new NoSpaceError({ cause: error })
      throw error
    },
  )
  const submission: Submission = {
    ...target,
    title: fields.title ?? titleOf(fileName),
    untitled: fields.title === undefined,
    s3_key: key,
    source: 'upload',
    source_ref: fields.source_ref ?? stored.sha256,
    content_hash: stored.sha256,
    file_type: fileType,
    file_size: stored.bytes,
  }
  const outcome = await acceptSubmission(deps, actorOf(context), submission).catch(async (error: unknown) => {
    // After other faults the job may be there all the same (a commit whose answer got lost): the file stays with it.
    if (error instanceof SqlFullError) await deps.blobs.deletePrefix(folder)
    throw error
  })
  if (!outcome.created) await deps.blobs.deletePrefix(folder)
  return outcome
}

/** Reads the form once, in order, with back-pressure from the store to the socket. */
async function readForm(
  c: Context,
  context: RequestContext,
  deps: UploadDeps,
  folder: string,
): Promise<Received> {
  const contentType = c.req.header('content-type') ?? ''
  if (!contentType.toLowerCase().startsWith('multipart/form-data') || !c.req.raw.body) {
    throw new UploadError('Send multipart/form-data: the fields, then the file as "file".')
  }
  const parser = openParser(contentType)
  const fields: Record<string, string> = {}
  const storing = new AbortController()
  const signal = AbortSignal.any([context.signal, storing.signal])
  let file: Promise<Received> | undefined
  const received = new Promise<Received>((resolve, reject) => {
    parser.on('field', (name, value, nameTruncated, valueTruncated) => {
      if (nameTruncated || valueTruncated) reject(new FieldError(name, 'Is too long.'))
      else if (file) reject(new FieldError(name, 'Must come before the file.'))
      else if (Object.hasOwn(fields, name)) reject(new FieldError(name, 'Is given twice.'))
      else fields[name] = value
    })
    parser.on('file', (name, stream, fileName, _encoding, fileType) => {
      // Emitted also while nobody reads yet, when the form ends in the middle of the file.
      stream.on('error', reject)
      if (name !== 'file') {
        stream.resume()
        reject(new FieldError(name, 'The file belongs in the field "file".'))
        return
      }
      const key = `${folder}file.${extensionOf(fileName ?? '') ?? 'bin'}`
      file = storeFile(deps, { ...context, signal }, fields, key, stream).then((stored) => ({
        ...stored,
        fileName: fileName ?? '',
        fileType,
        key,
      }))
      file.catch((error: unknown) => {
        stream.resume()
        reject(error)
      })
    })
    parser.on('filesLimit', () => reject(new FieldError('file', 'Is given twice: send one file at a time.')))
    for (const limit of ['fieldsLimit', 'partsLimit'] as const) {
      parser.on(limit, () => reject(new UploadError('The form has too many fields.')))
    }
    parser.on('error', (error: Error) =>
      reject(new UploadError(`The form could not be read: ${error.message}.`)),
    )
    parser.on('finish', () => {
      if (file) file.then(resolve, reject)
      else reject(new FieldError('file', 'Is missing: send the file in the field "file", last.'))
    })
  })
  const body = Readable.fromWeb(c.req.raw.body as Parameters<typeof Readable.fromWeb>[0])
  body.on('error', (error) => parser.destroy(error))
  body.pipe(parser)
  try {
    return await received
  } catch (error) {
    // Whoever deletes the blob has to come after whoever writes it.
    storing.abort(error)
    await file?.catch(() => undefined)
    throw error
  } finally {
    body.unpipe(parser)
    body.destroy()
  }
}

function openParser(contentType: string): BusboyInstance {
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      limits: { fields: 20, fieldNameSize: 100, fieldSize: 16_384, files: 1, parts: 30 },
    })
  } catch (cause) {
    throw new UploadError(`The form could not be read: ${(cause as Error).message}.`)
  }
}

async function storeFile(
  deps: UploadDeps,
  context: RequestContext,
  given: Record<string, string>,
  key: string,
  stream: Readable,
): Promise<Pick<Received, 'fields' | 'target' | 'stored'>> {
  const parsed = UploadFields.safeParse(given)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new FieldError(String(issue?.path[0] ?? 'non_field_errors'), issue?.message ?? 'Is not valid.')
  }
  const target = await resolveTarget(deps.library, parsed.data, context)
  const stored = await deps.blobs.put(key, stream, { maxBytes: deps.maxFileBytes, signal: context.signal })
  return { fields: parsed.data, target, stored }
}

function titleOf(fileName: string): string {
  const base = fileName.split(/[/\\]/).at(-1)?.replaceAll('\0', '').trim()
  return base ? base.slice(0, 500) : 'Untitled'
}
