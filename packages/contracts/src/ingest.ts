import { eventIterator, oc } from '@orpc/contract'
import { z } from 'zod'
import { FreeText, IsoTime, listOf, Name, Page, Uid } from './common.ts'

const base = oc.route({ tags: ['ingest'] })

export const JobStatus = z.enum(['pending', 'processing', 'completed', 'failed'])
export type JobStatus = z.infer<typeof JobStatus>

export const JobStage = z.enum([
  'queued',
  'fetching',
  'parsing',
  'chunking',
  'embedding',
  'images',
  'concepts',
  'storing',
  'completed',
  'superseded',
])
export type JobStage = z.infer<typeof JobStage>

export const Job = z.object({
  job_id: Uid,
  status: JobStatus,
  stage: JobStage,
  /** 0 to 100 */
  progress: z.number().int(),
  library_uid: Uid,
  item_uid: Uid,
  collection_uid: Uid.nullable(),
  title: z.string(),
  s3_key: z.string(),
  source: z.string(),
  source_ref: z.string(),
  content_hash: z.string(),
  file_type: z.string(),
  file_size: z.number().int(),
  chunks_created: z.number().int(),
  images_extracted: z.number().int(),
  concepts_extracted: z.number().int(),
  embedding_model: z.string().nullable(),
  retry_count: z.number().int(),
  error: z.string().nullable(),
  /** What could not be read of a document that was taken in all the same. */
  warnings: z.array(z.string()),
  created_at: IsoTime,
  started_at: IsoTime.nullable(),
  completed_at: IsoTime.nullable(),
})
export type Job = z.infer<typeof Job>

export const ContentHash = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'Must be a SHA-256 in 64 lower-case hexadecimal digits.')

/** A key in another program's store: relative, inside, and without tricks. */
export const SourceKey = z
  .string()
  .min(1, 'May not be blank.')
  .max(1024)
  .refine((key) => !/[\p{Cc}\p{Cs}\\]/u.test(key), 'May not contain control characters or backslash.')
  .refine((key) => !key.startsWith('/'), 'Must be relative: no leading slash.')
  .refine(
    (key) => key.startsWith('/') || !key.split('/').some((part) => ['', '.', '..'].includes(part)),
    'May not contain an empty path part, . or ..',
  )

export const IngestRequest = z
  .object({
    s3_key: SourceKey,
    title: Name(500),
    workspace_id: z.string().min(1).max(64).optional(),
    library_uid: Uid.optional(),
    collection_uid: Uid.optional(),
    file_type: FreeText(255),
    file_size: z.number().int().min(0),
    content_hash: z.string().toLowerCase().pipe(ContentHash),
    source: z.enum(['daedalus', 'spelunker']),
    source_ref: Name(1024),
  })
  .refine((body) => (body.workspace_id === undefined) !== (body.library_uid === undefined), {
    message: 'Give one of workspace_id and library_uid.',
    path: ['library_uid'],
  })
export type IngestRequest = z.infer<typeof IngestRequest>

/** 202 for a new job, 200 for the one that this request had made before. */
const accepted = z.union([
  z.object({ status: z.literal(202), body: Job }),
  z.object({ status: z.literal(200), body: Job }),
])

const byId = z.object({ job_id: Uid })

export const ingestContract = {
  ingest: base
    .route({
      method: 'POST',
      path: '/library/api/ingest/',
      summary: "Take in a file that lies in Daedalus's or Spelunker's store; idempotent",
      outputStructure: 'detailed',
    })
    .input(IngestRequest)
    .output(accepted),
  jobs: {
    list: base
      .route({
        method: 'GET',
        path: '/library/api/jobs/',
        summary: 'Jobs, newest first',
        outputStructure: 'detailed',
      })
      .input(Page.extend({ status: JobStatus.optional(), library_uid: Uid.optional() }))
      .output(listOf(Job)),
    get: base
      .route({ method: 'GET', path: '/library/api/jobs/{job_id}/', summary: 'A job' })
      .input(byId)
      .output(Job),
    retry: base
      .route({
        method: 'POST',
        path: '/library/api/jobs/{job_id}/retry/',
        summary: 'Run a failed job again',
        successStatus: 202,
      })
      .input(byId)
      .output(Job),
    cancel: base
      .route({
        method: 'POST',
        path: '/library/api/jobs/{job_id}/cancel/',
        summary: 'Cancel a job that has not ended',
        successStatus: 202,
      })
      .input(byId)
      .output(Job),
    events: base
      .route({
        method: 'GET',
        path: '/library/api/jobs/{job_id}/events/',
        summary: 'The job as it changes, until it ends (server-sent events)',
      })
      .input(byId)
      .output(eventIterator(Job)),
  },
}

/** For staff: whatever there is, whoever owns it. */
export const ingestAdminContract = {
  jobs: base
    .route({
      tags: ['admin'],
      method: 'GET',
      path: '/admin/api/jobs/',
      summary: 'All jobs, newest first (staff)',
      outputStructure: 'detailed',
    })
    .input(Page.extend({ status: JobStatus.optional(), library_uid: Uid.optional() }))
    .output(listOf(Job)),
}

/** The path of the multipart upload: streamed, so it is served beside the typed operations. */
export const UPLOAD_PATH = '/library/api/items/upload/'

/** The fields of an upload, before its `file`. */
export const UploadFields = z
  .object({
    library_uid: Uid.optional(),
    workspace_id: z.string().min(1).max(64).optional(),
    collection_uid: Uid.optional(),
    title: Name(500).optional(),
    source_ref: Name(1024).optional(),
  })
  .refine((body) => (body.workspace_id === undefined) !== (body.library_uid === undefined), {
    message: 'Give one of workspace_id and library_uid.',
    path: ['library_uid'],
  })
