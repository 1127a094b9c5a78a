import type { Chunk, Collection, Item, Job, Library, Member, SearchAnswer } from '@mnemosyne/contracts'
import { SHARED_WORD } from './holdings.ts'
import { ofOneself } from './identity-targets.ts'
import {
  freshFailedJob,
  freshFilledLibrary,
  freshWithMember,
  freshWorkspace,
  ingestable,
  members,
  ofGoldenQuery,
  ofLibrary,
  ofLibraryForOwnToken,
  ofTokenForOwnLibrary,
  readable,
  standingHolding,
} from './library-targets.ts'
import type { Asker, Way } from './way.ts'

/** In the words of who asks without naming anything. */
const nothing = () => ({})

/** Narrowed, where there is something to narrow by. */
function only(by: Record<string, string | undefined>): { query: Record<string, string> } {
  return {
    query: Object.fromEntries(Object.entries(by).filter((pair): pair is [string, string] => !!pair[1])),
  }
}

const giving =
  (role: string) =>
  ({ library_uid: uid }: { library_uid: string }, { world: { zoe } }: Asker) => ({
    params: { uid },
    body: { username: zoe.name, role },
  })

const taking =
  (role: string) =>
  ({ library_uid: uid }: { library_uid: string }, { world: { zoe } }: Asker) => ({
    params: { uid, username: zoe.name, role },
  })

/** The caller's own role. */
const leaving = ({ library_uid: uid }: { library_uid: string }, { person, relation }: Asker) => ({
  params: { uid, username: person.name, role: ROLES[relation] ?? 'reader' },
})
const ROLES: Record<string, string> = { own: 'owner', 'co-owner': 'owner', manager: 'manager' }

const inToken = ({ library_uid: uid, token_id }: { library_uid: string; token_id: string }) => ({
  params: { uid, token_id },
})

const fileOf = (text: string) => new File([text], 'log.md', { type: 'text/markdown' })

/** Asks for so many passages that none is missing for want of room. */
const SEARCH = { query: SHARED_WORD, limit: 100 }

const FOUND = readable(
  'library_uid',
  ({ library_uid }: SearchAnswer['candidates'][number]) => library_uid,
  ({ candidates }: SearchAnswer) => candidates,
)

/** Libraries, what is in them, and with whom they are shared. */
export const LIBRARY_ROWS = {
  // --- the library service
  'library.workspaces.create': [
    ofLibrary(
      'make workspace',
      ({ workspace_id }) => ({ body: { workspace_id, name: workspace_id, library_type: 'technical' } }),
      { fresh: freshWorkspace },
    ),
  ],
  'library.workspaces.get': [ofLibrary('workspace', ({ workspace_id }) => ({ params: { workspace_id } }))],
  'library.workspaces.delete': [
    ofLibrary('delete workspace', ({ workspace_id }) => ({ params: { workspace_id } }), {
      fresh: freshWorkspace,
    }),
  ],
  'library.libraries.list': [
    ofLibrary('list', nothing, { contents: readable('library_uid', ({ uid }: Library) => uid) }),
  ],
  'library.libraries.create': [
    ofLibrary('make', () => ({ body: { name: 'Made', library_type: 'technical' } })),
    ofLibrary('make global', () => ({ body: { name: 'Made', library_type: 'technical', global: true } }), {
      how: 'global',
    }),
  ],
  'library.libraries.get': [ofLibrary('read', ({ library_uid: uid }) => ({ params: { uid } }))],
  'library.libraries.update': [
    ofLibrary('own', ({ library_uid: uid }) => ({ params: { uid }, body: { name: 'Renamed' } }), {
      fresh: true,
    }),
    ofLibrary('hand over', ({ library_uid: uid }) => ({ params: { uid }, body: { owner_username: 'zoe' } }), {
      how: 'hand over',
      fresh: true,
    }),
  ],
  'library.libraries.delete': [
    ofLibrary('delete', ({ library_uid: uid }) => ({ params: { uid } }), { fresh: true }),
  ],
  'library.collections.list': [
    ofLibrary('list readable', ({ library_uid }) => only({ library_uid }), {
      contents: readable('collection_uid', ({ uid }: Collection) => uid),
    }),
  ],
  'library.collections.create': [
    ofLibrary(
      'curate',
      ({ library_uid }, { person }) => ({ body: { library_uid, name: `Made by ${person.name}` } }),
      {
        fresh: true,
      },
    ),
  ],
  'library.items.list': [
    ofLibrary('list readable', ({ library_uid }) => only({ library_uid }), {
      contents: readable('item_uid', ({ uid }: Item) => uid),
    }),
    ofLibrary('list readable', ({ collection_uid }) => only({ collection_uid }), {
      how: 'of a collection',
      contents: readable('item_uid', ({ uid }: Item) => uid),
    }),
  ],
  'library.items.get': [ofLibrary('read', ({ item_uid: uid }) => ({ params: { uid } }))],
  'library.items.delete': [
    ofLibrary('clear out', ({ item_uid: uid }) => ({ params: { uid } }), {
      fresh: freshFilledLibrary,
      dear: true,
    }),
  ],
  'library.items.chunks': [
    ofLibrary('read', ({ item_uid: uid }) => ({ params: { uid } }), {
      contents: readable('chunk_uid', ({ chunk_uid }: Chunk) => chunk_uid),
    }),
  ],
  'library.chunks.get': [
    ofLibrary('read', ({ chunk_uid: uid }) => ({ params: { uid }, query: { before: '9', after: '9' } })),
  ],
  'library.libraryTypes.list': [ofOneself('anybody', nothing)],

  // --- the ingest service
  'ingest.ingest': [
    ofLibrary('ingest', ({ library_uid, document }) => ({ body: { ...document, library_uid } })),
    ofLibrary('ingest workspace', ({ workspace_id, document }) => ({ body: { ...document, workspace_id } }), {
      how: 'workspace',
    }),
    ofLibrary(
      'ingest collection',
      ({ collection_uid, document }, asker) => {
        const { library_uid } = standingHolding(asker, 'own')
        return { body: { ...document, library_uid, collection_uid } }
      },
      { how: "into the caller's library, of a collection" },
    ),
  ],
  upload: [
    ofLibrary(
      'ingest',
      ({ library_uid, document, text }) => ({
        form: { library_uid, source_ref: String(document.source_ref), file: fileOf(text) },
      }),
      { success: 200 },
    ),
    ofLibrary(
      'ingest workspace',
      ({ workspace_id, document, text }) => ({
        form: { workspace_id, source_ref: String(document.source_ref), file: fileOf(text) },
      }),
      { how: 'workspace', success: 200 },
    ),
  ],
  'ingest.jobs.list': [
    ofLibrary('list ingestable', ({ library_uid }) => only({ library_uid }), {
      contents: ingestable('job_id', ({ job_id }: Job) => job_id),
    }),
  ],
  'ingest.jobs.get': [ofLibrary('job', ({ job_id }) => ({ params: { job_id } }))],
  'ingest.jobs.retry': [
    ofLibrary('job', ({ job_id }) => ({ params: { job_id } }), { fresh: freshFailedJob, dear: true }),
  ],
  'ingest.jobs.cancel': [
    // It has ended: that it is told so is as good as a cancellation.
    ofLibrary('job', ({ job_id }) => ({ params: { job_id } }), { success: 409 }),
  ],
  'ingest.jobs.events': [ofLibrary('job', ({ job_id }) => ({ params: { job_id } }))],

  // --- the search service
  'search.search': [
    ofLibrary('search', ({ library_uid }) => ({ body: { ...SEARCH, library_uid } }), { contents: FOUND }),
    ofLibrary('search', ({ collection_uid }) => ({ body: { ...SEARCH, collection_uid } }), {
      how: 'collection',
      contents: FOUND,
    }),
  ],
  'search.explain': [
    ofLibrary('read', ({ chunk_uid }) => ({ body: { query: SHARED_WORD, chunk_uid } }), { how: 'chunk' }),
    ofLibrary('read', ({ item_uid }) => ({ body: { query: SHARED_WORD, item_uid } }), { how: 'item' }),
  ],

  // --- with whom a library is shared
  'members.list': [
    ofLibrary('see members', ({ library_uid: uid }) => ({ params: { uid } }), {
      contents: members(({ username, role }: Member) => `${username} ${role}`),
    }),
  ],
  'members.add': [
    ofLibrary('share to read', giving('reader'), { how: 'reader', fresh: true, success: 201 }),
    ofLibrary('share more', giving('manager'), { how: 'manager', fresh: true, success: 201 }),
    ofLibrary('share more', giving('owner'), { how: 'owner', fresh: true, success: 201 }),
  ],
  'members.remove': [
    ofLibrary('share to read', taking('reader'), { how: 'reader', fresh: freshWithMember('reader') }),
    ofLibrary('share more', taking('manager'), { how: 'manager', fresh: freshWithMember('manager') }),
    ofLibrary('share more', taking('owner'), { how: 'owner', fresh: freshWithMember('owner') }),
    ofLibrary('leave', leaving, { how: "the caller's own", fresh: true }),
  ],
  'members.allowInToken': [
    ofLibraryForOwnToken('share to read', inToken, { fresh: true }),
    ofTokenForOwnLibrary('allow', inToken, { how: "somebody's token", fresh: true }),
  ],
  'members.removeFromToken': [
    ofLibraryForOwnToken('share to read', inToken, { fresh: true }),
    ofTokenForOwnLibrary('allow', inToken, { how: "somebody's token", fresh: true }),
  ],

  // --- golden queries: behind the searches of everything, which would find what is made for them
  'goldenQueries.list': [ofLibrary('read', ({ library_uid: uid }) => ({ params: { uid } }))],
  'goldenQueries.add': [
    ofLibrary(
      'curate',
      ({ library_uid: uid, chunk_uid }) => ({ params: { uid }, body: { query: SHARED_WORD, chunk_uid } }),
      { fresh: freshFilledLibrary, success: 201 },
    ),
  ],
  'goldenQueries.delete': [
    ofGoldenQuery('curate', ({ library_uid: uid, golden_query_id: id }) => ({ params: { uid, id } }), {
      fresh: true,
    }),
  ],
  'goldenQueries.run': [
    // There are none: that they are told so is as good as a replay.
    ofLibrary('curate', ({ library_uid: uid }) => ({ params: { uid } }), { success: 409 }),
  ],
  'goldenQueries.runs': [ofLibrary('read', ({ library_uid: uid }) => ({ params: { uid } }))],
} satisfies Record<string, readonly [Way, ...Way[]]>
