import { oc } from '@orpc/contract'
import { z } from 'zod'
import { FreeText, IsoTime, listOf, Name, Page, Uid } from './common.ts'

const base = oc.route({ tags: ['library'] })

export const LIBRARY_TYPES = [
  'fiction',
  'nonfiction',
  'technical',
  'music',
  'film',
  'art',
  'journal',
  'business',
  'finance',
] as const
export const LibraryType = z.enum(LIBRARY_TYPES)
export type LibraryType = z.infer<typeof LibraryType>

/** How a library's documents are cut. Sizes in tokens of the embedding model. */
export const ChunkingConfig = z.object({
  strategy: z.enum(['heading', 'chapter', 'section', 'stanza', 'scene', 'work', 'entry', 'statement']),
  target_tokens: z.number().int().min(32).max(500),
  max_tokens: z.number().int().min(32).max(500),
  min_tokens: z.number().int().min(0).max(500),
  overlap_tokens: z.number().int().min(0).max(200),
  keep_whole: z.array(z.enum(['code', 'table', 'list', 'quotation', 'dialogue', 'stanza', 'speech'])),
})
export type ChunkingConfig = z.infer<typeof ChunkingConfig>

export const LibraryTypeInfo = z.object({
  library_type: LibraryType,
  description: z.string(),
  chunking_config: ChunkingConfig,
  embedding_instruction: z.string(),
  reranker_instruction: z.string(),
  llm_context_prompt: z.string(),
  concept_types: z.array(z.string()),
  image_meaning: z.string(),
})
export type LibraryTypeInfo = z.infer<typeof LibraryTypeInfo>

export const Workspace = z.object({
  workspace_id: z.string(),
  library_uid: Uid,
  name: z.string(),
  library_type: LibraryType,
  description: z.string(),
  item_count: z.number().int(),
  chunk_count: z.number().int(),
  image_count: z.number().int(),
  created_at: IsoTime,
})
export type Workspace = z.infer<typeof Workspace>

/** Given by the caller; ours is only the length and that it can stand in a path. */
export const WorkspaceId = z
  .string()
  .min(1, 'May not be blank.')
  .max(64)
  .regex(/^[^\s\p{Cc}\p{Cs}/\\?#]+$/u, 'May not contain spaces, control characters, slashes, ? or #.')
  .refine((id) => id !== '.' && id !== '..', 'May not be . or ..')

export const Library = z.object({
  uid: Uid,
  name: z.string(),
  library_type: LibraryType,
  description: z.string(),
  workspace_id: z.string().nullable(),
  owner_username: z.string().nullable(),
  global: z.boolean(),
  item_count: z.number().int(),
  chunk_count: z.number().int(),
  image_count: z.number().int(),
  created_at: IsoTime,
  updated_at: IsoTime,
})
export type Library = z.infer<typeof Library>

export const LibraryDetail = Library.extend({
  chunking_config: ChunkingConfig,
  embedding_instruction: z.string(),
  reranker_instruction: z.string(),
  llm_context_prompt: z.string(),
})
export type LibraryDetail = z.infer<typeof LibraryDetail>

export const Collection = z.object({
  uid: Uid,
  name: z.string(),
  description: z.string(),
  library_uid: Uid,
  library_name: z.string(),
  created_at: IsoTime,
})
export type Collection = z.infer<typeof Collection>

export const EmbeddingStatus = z.enum(['pending', 'processing', 'completed', 'failed'])
export type EmbeddingStatus = z.infer<typeof EmbeddingStatus>

export const Item = z.object({
  uid: Uid,
  title: z.string(),
  item_type: z.string(),
  file_type: z.string(),
  file_size: z.number().int(),
  content_hash: z.string(),
  source: z.string(),
  source_ref: z.string(),
  library_uid: Uid,
  collection_uid: Uid.nullable(),
  embedding_status: EmbeddingStatus,
  embedding_model: z.string().nullable(),
  chunk_count: z.number().int(),
  image_count: z.number().int(),
  metadata: z.record(z.string(), z.unknown()),
  error: z.string().nullable(),
  created_at: IsoTime,
  updated_at: IsoTime,
})
export type Item = z.infer<typeof Item>

export const ItemConcept = z.object({
  uid: Uid,
  name: z.string(),
  concept_type: z.string(),
  mentions: z.number().int(),
})

export const Chunk = z.object({
  chunk_uid: Uid,
  item_uid: Uid,
  chunk_index: z.number().int(),
  text: z.string(),
  section_path: z.array(z.string()),
  page: z.number().int().nullable(),
  char_start: z.number().int(),
  char_end: z.number().int(),
  token_count: z.number().int(),
})
export type Chunk = z.infer<typeof Chunk>

export const ChunkInContext = Chunk.extend({
  item_title: z.string(),
  library_uid: Uid,
  library_type: LibraryType,
  before: z.array(Chunk),
  after: z.array(Chunk),
})
export type ChunkInContext = z.infer<typeof ChunkInContext>

const neighbours = z.coerce.number().int().min(0).max(10).default(0)

const workspaces = {
  create: base
    .route({
      method: 'POST',
      path: '/library/api/workspaces/',
      summary:
        'Create a workspace and its library; repeated by its owner it answers 200 with the current state',
      outputStructure: 'detailed',
    })
    .input(
      z.object({
        workspace_id: WorkspaceId,
        name: Name(200),
        library_type: LibraryType,
        description: FreeText(10_000).default(''),
      }),
    )
    .output(
      z.union([
        z.object({ status: z.literal(201), body: Workspace }),
        z.object({ status: z.literal(200), body: Workspace }),
      ]),
    ),
  get: base
    .route({
      method: 'GET',
      path: '/library/api/workspaces/{workspace_id}/',
      summary: 'A workspace with its counts',
    })
    .input(z.object({ workspace_id: z.string() }))
    .output(Workspace),
  delete: base
    .route({
      method: 'DELETE',
      path: '/library/api/workspaces/{workspace_id}/',
      summary: 'Delete a workspace, its library and all that only it reaches; idempotent',
      successStatus: 204,
    })
    .input(z.object({ workspace_id: z.string() }))
    .output(z.void()),
}

const libraries = {
  list: base
    .route({
      method: 'GET',
      path: '/library/api/libraries/',
      summary: 'Libraries that the caller may read',
      outputStructure: 'detailed',
    })
    .input(Page)
    .output(listOf(Library)),
  create: base
    .route({
      method: 'POST',
      path: '/library/api/libraries/',
      summary: 'Create a library',
      successStatus: 201,
    })
    .input(
      z.object({
        name: Name(200),
        library_type: LibraryType,
        description: FreeText(10_000).default(''),
        /** A library of everybody, without an owner; only staff create one. */
        global: z.boolean().default(false),
        chunking_config: ChunkingConfig.optional(),
        embedding_instruction: FreeText(2000).optional(),
        reranker_instruction: FreeText(2000).optional(),
        llm_context_prompt: FreeText(10_000).optional(),
      }),
    )
    .output(LibraryDetail),
  get: base
    .route({ method: 'GET', path: '/library/api/libraries/{uid}/', summary: 'A library' })
    .input(z.object({ uid: Uid }))
    .output(LibraryDetail),
  update: base
    .route({
      method: 'PATCH',
      path: '/library/api/libraries/{uid}/',
      summary: 'Rename or describe a library, or hand it over (its owners; a global one: staff)',
    })
    .input(
      z.object({
        uid: z.string(),
        name: Name(200).optional(),
        description: FreeText(10_000).optional(),
        /** Who owns it from now on; the former principal owner stays as a manager. */
        owner_username: FreeText(150).min(1).optional(),
      }),
    )
    .output(LibraryDetail),
  delete: base
    .route({
      method: 'DELETE',
      path: '/library/api/libraries/{uid}/',
      summary: 'Delete a library and all in it',
      successStatus: 204,
    })
    .input(z.object({ uid: Uid }))
    .output(z.void()),
}

const collections = {
  list: base
    .route({
      method: 'GET',
      path: '/library/api/collections/',
      summary: 'Collections',
      outputStructure: 'detailed',
    })
    .input(Page.extend({ library_uid: Uid.optional() }))
    .output(listOf(Collection)),
  create: base
    .route({
      method: 'POST',
      path: '/library/api/collections/',
      summary: 'Create a collection',
      successStatus: 201,
    })
    .input(z.object({ library_uid: Uid, name: Name(200), description: FreeText(10_000).default('') }))
    .output(Collection),
}

const items = {
  list: base
    .route({
      method: 'GET',
      path: '/library/api/items/',
      summary: 'Items that the caller may read',
      outputStructure: 'detailed',
    })
    .input(Page.extend({ library_uid: Uid.optional(), collection_uid: Uid.optional() }))
    .output(listOf(Item)),
  get: base
    .route({ method: 'GET', path: '/library/api/items/{uid}/', summary: 'An item with its concepts' })
    .input(z.object({ uid: Uid }))
    .output(Item.extend({ concepts: z.array(ItemConcept) })),
  delete: base
    .route({
      method: 'DELETE',
      path: '/library/api/items/{uid}/',
      summary: 'Delete an item and its content',
      successStatus: 204,
    })
    .input(z.object({ uid: Uid }))
    .output(z.void()),
  chunks: base
    .route({
      method: 'GET',
      path: '/library/api/items/{uid}/chunks/',
      summary: "An item's chunks in order",
      outputStructure: 'detailed',
    })
    .input(Page.extend({ uid: Uid }))
    .output(listOf(Chunk)),
}

const chunks = {
  get: base
    .route({
      method: 'GET',
      path: '/library/api/chunks/{uid}/',
      summary: 'A chunk, with its neighbours when asked for',
    })
    .input(z.object({ uid: Uid, before: neighbours, after: neighbours }))
    .output(ChunkInContext),
}

const libraryTypes = {
  list: base
    .route({ method: 'GET', path: '/library/api/library-types/', summary: 'The nine library types' })
    .output(z.array(LibraryTypeInfo)),
}

export const libraryContract = { workspaces, libraries, collections, items, chunks, libraryTypes }

/** For staff: whatever there is, whoever owns it. */
export const libraryAdminContract = {
  libraries: base
    .route({
      tags: ['admin'],
      method: 'GET',
      path: '/admin/api/libraries/',
      summary: 'All libraries (staff)',
      outputStructure: 'detailed',
    })
    .input(Page.extend({ owner: FreeText(150).optional() }))
    .output(listOf(Library)),
}

/** Workspaces in one question, so that it stays within a body's bound. */
export const WORKSPACES_ASKED_MAX = 1_000

/** Between services only; the gateway routes none of these paths. */
export const libraryInternalContract = {
  /** Of these workspaces' libraries those that `owner_username` owns, in the order of their uids. */
  librariesOf: base
    .route({ method: 'POST', path: '/internal/library/libraries-of/' })
    .input(
      z.object({ owner_username: z.string(), workspace_ids: z.array(z.string()).max(WORKSPACES_ASKED_MAX) }),
    )
    .output(z.array(Uid)),
  /** Uids of the libraries that a user owns. */
  ownedLibraries: base
    .route({ method: 'POST', path: '/internal/library/owned-libraries/' })
    .input(z.object({ owner_username: z.string() }))
    .output(z.array(Uid)),
  /** Whose a library is, or null when there is none; `owner_username` null: everybody's. */
  principalOwner: base
    .route({ method: 'POST', path: '/internal/library/principal-owner/' })
    .input(z.object({ library_uid: Uid }))
    .output(z.object({ owner_username: z.string().nullable() }).nullable()),
  /**
   * Every library of `from` is one of `to`: handed over; or, when `renamed`, `to` is what `from` is called now.
   * Returns the uids of those that changed. Idempotent.
   */
  reassignLibraries: base
    .route({ method: 'POST', path: '/internal/library/reassignments/' })
    .input(z.object({ from: z.string(), to: z.string(), renamed: z.boolean().default(false) }))
    .output(z.array(Uid)),
  /** Deletes every library that a user owns. Returns their uids. Idempotent. */
  deleteLibrariesOf: base
    .route({ method: 'POST', path: '/internal/library/deletions/' })
    .input(z.object({ owner_username: z.string() }))
    .output(z.array(Uid)),
  /** The libraries that everybody may read. */
  globalLibraries: base
    .route({ method: 'GET', path: '/internal/library/global-libraries/' })
    .output(z.array(Uid)),
  /**
   * The library (and collection) into which the delegated caller may ingest. Unknown and another's are the
   * same 404.
   */
  ingestTarget: base
    .route({ method: 'POST', path: '/internal/library/ingest-target/' })
    .input(
      z.object({
        workspace_id: z.string().optional(),
        library_uid: Uid.optional(),
        collection_uid: Uid.optional(),
      }),
    )
    .output(z.object({ library_uid: Uid, collection_uid: Uid.nullable() })),
}
