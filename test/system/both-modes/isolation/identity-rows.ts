import { randomUUID } from 'node:crypto'
import type { Job, Library, Team, User, UserToken } from '@mnemosyne/contracts'
import { heldKey, heldTeam, heldToken, ofAccount, ofOneself, ofTeam, ofToken } from './identity-targets.ts'
import { ofLibrary } from './library-targets.ts'
import { PASSWORD } from './people.ts'
import type { Asker, Contents, Way } from './way.ts'
import { KID, type World } from './world.ts'

/** In the words of who asks without naming anything. */
const nothing = () => ({})

/** A page on which everything is that the world is made with. */
const all = () => ({ query: { limit: '200' } })

/** Staff see what is anybody's. */
const everybodys = (of: (world: World) => string[], idOf: Contents['idOf']) => ({
  contents: { of: ({ world }: Asker) => of(world), idOf, atLeast: true },
})

/** What is a caller's own, and administration. */
export const IDENTITY_ROWS = {
  // --- the auth service: what is the caller's own
  'auth.me': [ofOneself('anybody', nothing)],
  'auth.updateMe': [ofOneself('anybody', () => ({ body: { preferences: { theme: 'system' } } }))],
  'auth.changePassword': [
    ofOneself('anybody', () => ({ body: { current_password: PASSWORD, new_password: `${PASSWORD}!` } }), {
      fresh: true,
    }),
  ],
  'auth.listTokens': [
    ofToken('list', nothing, {
      contents: {
        of: ({ world: { tokens }, person }) => Object.values(tokens[person.name]!),
        idOf: ({ id }: UserToken) => id,
        atLeast: true,
      },
    }),
  ],
  'auth.mintToken': [
    ofToken('mint', () => ({ body: { name: 'made' } })),
    ofLibrary(
      'put into a token',
      ({ library_uid }) => ({ body: { name: 'made', allowed_libraries: [library_uid] } }),
      { how: 'with a library' },
    ),
  ],
  'auth.getToken': [ofToken('read', ({ token_id: id }) => ({ params: { id } }))],
  'auth.editToken': [
    ofToken('edit', ({ token_id: id }) => ({ params: { id }, body: { name: 'renamed' } }), { fresh: true }),
  ],
  'auth.revokeToken': [ofToken('revoke', ({ token_id: id }) => ({ params: { id } }), { fresh: true })],

  // --- the auth service: sessions
  'accounts.login': [
    ofOneself('anybody', ({ username }) => ({ body: { username, password: PASSWORD } }), { fresh: true }),
  ],
  'accounts.session': [ofOneself('by session', nothing)],
  'accounts.logout': [ofOneself('by session', nothing, { fresh: true })],
  'accounts.logoutEverywhere': [ofOneself('anybody', nothing, { fresh: true })],

  // --- the auth service: teams
  'teams.list': [
    ofTeam('list', nothing, {
      contents: {
        of: ({ world: { teams }, person }) => Object.values(teams[person.name]!),
        idOf: ({ id }: Team) => id,
        atLeast: true,
      },
    }),
  ],
  'teams.create': [ofTeam('create', ({ team_id: id }) => ({ body: { id, name: 'Made' } }), { fresh: true })],
  'teams.get': [ofTeam('read', ({ team_id: id }) => ({ params: { id } }))],
  'teams.delete': [ofTeam('read', ({ team_id: id }) => ({ params: { id } }), { fresh: true })],
  'teams.putWorkspaces': [
    ofTeam('read', ({ team_id: id }) => ({ params: { id }, body: { workspace_ids: ['kim-unshared'] } }), {
      fresh: true,
    }),
  ],
  'teams.rotate': [ofTeam('rotate', ({ team_id: id }) => ({ params: { id } }), { fresh: true })],

  // --- administration
  'admin.users.list': [
    ofAccount(
      'list',
      all,
      everybodys(
        ({ accounts }) => Object.values(accounts),
        ({ id }: User) => id,
      ),
    ),
  ],
  'admin.users.create': [
    ofAccount('make', () => ({ body: { username: `made-${randomUUID()}`, password: PASSWORD } })),
    ofAccount('make staff', () => ({ body: { username: `made-${randomUUID()}`, is_staff: true } }), {
      how: 'staff',
    }),
    ofAccount('make staff', () => ({ body: { username: `made-${randomUUID()}`, groups: ['View Only'] } }), {
      how: 'in a group',
    }),
    ofAccount('make staff', () => ({ body: { username: `made-${randomUUID()}`, is_superuser: true } }), {
      how: 'superuser',
    }),
  ],
  'admin.users.get': [ofAccount('see', ({ user_id: id }) => ({ params: { id } }))],
  'admin.users.update': [
    ofAccount('change', ({ user_id: id }) => ({ params: { id }, body: { first_name: 'Changed' } }), {
      fresh: true,
    }),
  ],
  'admin.users.delete': [ofAccount('delete', ({ user_id: id }) => ({ params: { id } }), { fresh: true })],
  'admin.users.endSessions': [
    ofAccount('change', ({ user_id: id }) => ({ params: { id } }), { fresh: true }),
  ],
  'admin.groups.list': [ofAccount('list', nothing)],
  'admin.tokens.list': [
    heldToken(
      'list',
      all,
      everybodys(
        ({ tokens }) => [tokens.kim!.own],
        ({ id }: UserToken) => id,
      ),
    ),
  ],
  'admin.tokens.update': [
    heldToken('change', ({ held_id: id }) => ({ params: { id }, body: { name: 'changed' } }), {
      fresh: true,
    }),
  ],
  'admin.tokens.revoke': [heldToken('change', ({ held_id: id }) => ({ params: { id } }), { fresh: true })],
  'admin.teams.list': [
    heldTeam(
      'list',
      all,
      everybodys(
        ({ teams }) => [teams.kim!.own],
        ({ id }: Team) => id,
      ),
    ),
  ],
  'admin.teams.update': [
    heldTeam('change', ({ held_id: id }) => ({ params: { id }, body: { name: 'Changed' } }), { fresh: true }),
  ],
  'admin.signingKeys.list': [heldKey('list', nothing)],
  'admin.signingKeys.seed': [heldKey('make', () => ({ body: { kid: KID } }))],
  'admin.signingKeys.retire': [
    heldKey('delete', ({ held_id: kid }) => ({ params: { kid } }), { fresh: true }),
  ],
  'admin.audit.list': [ofAccount('list', nothing)],
  'libraryAdmin.libraries': [
    ofAccount(
      'list',
      all,
      everybodys(
        ({ holdings }) => [holdings.ada.foreign.library_uid],
        ({ uid }: Library) => uid,
      ),
    ),
  ],
  'ingestAdmin.jobs': [
    ofAccount(
      'list',
      all,
      everybodys(
        ({ holdings }) => [holdings.ada.foreign.job_id],
        ({ job_id }: Job) => job_id,
      ),
    ),
  ],
} satisfies Record<string, readonly [Way, ...Way[]]>
