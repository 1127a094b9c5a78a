import { randomUUID } from 'node:crypto'
import type { GoldenQuery, Job } from '@mnemosyne/contracts'
import type { OperationName } from '../isolation/operations.ts'
import { type Made, PASSWORD, type Stage } from './stage.ts'

/** What an operation that changes something leaves in the audit log, and how it is brought to change something. */
interface Change {
  action: string
  make(stage: Stage): Promise<Made>
}

const NOT_A_PDF = '%PDF-1.7\nthe corncrake rasps'

/** An operation without a line here does not compile. */
export const CHANGES: Record<OperationName, Change | 'reads'> = {
  'accounts.login': { action: 'session.started', make: async (stage) => (await stage.signIn()).made },
  'accounts.session': 'reads',
  'accounts.logout': {
    action: 'session.ended',
    make: async (stage) => (await stage.signIn()).ask('POST', '/accounts/api/logout/'),
  },
  'accounts.logoutEverywhere': {
    action: 'user.logged_out_everywhere',
    make: async (stage) => (await stage.signIn()).ask('POST', '/accounts/api/logout-everywhere/'),
  },

  'auth.me': 'reads',
  'auth.updateMe': {
    action: 'user.changed',
    make: (stage) => stage.ask(stage.ada, 'PATCH', '/profile/api/me/', { first_name: stage.fresh('Ada') }),
  },
  'auth.changePassword': {
    action: 'user.password_changed',
    async make(stage) {
      const new_password = stage.fresh('zephyrous password')
      stage.secrets.push(new_password)
      const { ask } = await stage.signIn()
      const body = { current_password: PASSWORD, new_password }
      return ask('POST', '/profile/api/password/', body)
    },
  },
  'auth.listTokens': 'reads',
  'auth.mintToken': {
    action: 'user_token.minted',
    async make(stage) {
      const made = await stage.ask(stage.ada, 'POST', '/profile/api/tokens/', { name: 'test' })
      stage.secrets.push((made.answer.body as { token: string }).token)
      return made
    },
  },
  'auth.getToken': 'reads',
  'auth.editToken': {
    action: 'user_token.edited',
    async make(stage) {
      const { id } = await stage.mint()
      return stage.ask(stage.ada, 'PATCH', `/profile/api/tokens/${id}/`, { allowed_tools: ['search'] })
    },
  },
  'auth.revokeToken': {
    action: 'user_token.revoked',
    async make(stage) {
      const { id } = await stage.mint()
      return stage.ask(stage.ada, 'POST', `/profile/api/tokens/${id}/revoke/`)
    },
  },

  'teams.list': 'reads',
  'teams.create': {
    action: 'team.created',
    async make(stage) {
      const team = { id: randomUUID(), name: 'Scouts' }
      const made = await stage.ask(stage.ada, 'POST', '/mcp_server/api/teams/', team)
      stage.secrets.push((made.answer.body as { jwt: string }).jwt)
      return made
    },
  },
  'teams.get': 'reads',
  'teams.delete': {
    action: 'team.deleted',
    async make(stage) {
      const { id } = await stage.makeTeam()
      return stage.ask(stage.ada, 'DELETE', `/mcp_server/api/teams/${id}/`)
    },
  },
  'teams.putWorkspaces': {
    action: 'team.workspaces_updated',
    async make(stage) {
      const { id } = await stage.makeTeam()
      const workspace_ids = [stage.fresh('ws')]
      return stage.ask(stage.ada, 'PUT', `/mcp_server/api/teams/${id}/workspaces/`, { workspace_ids })
    },
  },
  'teams.rotate': {
    action: 'team.rotated',
    async make(stage) {
      const { id } = await stage.makeTeam()
      const made = await stage.ask(stage.ada, 'POST', `/mcp_server/api/teams/${id}/rotate/`)
      stage.secrets.push((made.answer.body as { jwt: string }).jwt)
      return made
    },
  },

  'library.workspaces.create': {
    action: 'library.created',
    make: (stage) =>
      stage.ask(stage.ada, 'POST', '/library/api/workspaces/', {
        workspace_id: stage.fresh('ws'),
        name: 'Tidal almanac',
        library_type: 'technical',
      }),
  },
  'library.workspaces.get': 'reads',
  'library.workspaces.delete': {
    action: 'library.deleted',
    async make(stage) {
      const workspace_id = stage.fresh('ws')
      await stage.system.createWorkspace(workspace_id, {}, stage.ada.token)
      return stage.ask(stage.ada, 'DELETE', `/library/api/workspaces/${workspace_id}/`)
    },
  },
  'library.libraries.list': 'reads',
  'library.libraries.create': {
    action: 'library.created',
    make: (stage) =>
      stage.ask(stage.root, 'POST', '/library/api/libraries/', {
        name: 'Tidal almanac',
        library_type: 'technical',
        global: true,
      }),
  },
  'library.libraries.get': 'reads',
  'library.libraries.update': {
    action: 'library.updated',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      const change = { description: 'Tidal almanac of the sound' }
      return stage.ask(stage.ada, 'PATCH', `/library/api/libraries/${uid}/`, change)
    },
  },
  'library.libraries.delete': {
    action: 'library.deleted',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      return stage.ask(stage.ada, 'DELETE', `/library/api/libraries/${uid}/`)
    },
  },
  'library.collections.list': 'reads',
  'library.collections.create': {
    action: 'collection.created',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      const collection = { library_uid: uid, name: 'Tidal almanac' }
      return stage.ask(stage.ada, 'POST', '/library/api/collections/', collection)
    },
  },
  'library.items.list': 'reads',
  'library.items.get': 'reads',
  'library.items.delete': {
    action: 'item.deleted',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      const { answer } = await stage.upload(stage.ada, { library_uid: uid }, '# Corncrake\n\nIt rasps.')
      const { item_uid } = await stage.ended(stage.ada, (answer.body as Job).job_id)
      return stage.ask(stage.ada, 'DELETE', `/library/api/items/${item_uid}/`)
    },
  },
  'library.items.chunks': 'reads',
  'library.chunks.get': 'reads',
  'library.libraryTypes.list': 'reads',
  'libraryAdmin.libraries': 'reads',

  'goldenQueries.list': 'reads',
  'goldenQueries.add': {
    action: 'golden_query.added',
    make: async (stage) => (await markGolden(stage)).made,
  },
  'goldenQueries.delete': {
    action: 'golden_query.deleted',
    async make(stage) {
      const { at, made } = await markGolden(stage)
      const { id } = made.answer.body as GoldenQuery
      return stage.ask(stage.ada, 'DELETE', `${at}${id}/`)
    },
  },
  'goldenQueries.run': {
    action: 'golden_queries.replayed',
    async make(stage) {
      const { at } = await markGolden(stage)
      return stage.ask(stage.ada, 'POST', `${at}run/`)
    },
  },
  'goldenQueries.runs': 'reads',

  'members.list': 'reads',
  'members.add': {
    action: 'membership.added',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      const member = { username: stage.bob.name, role: 'reader' }
      return stage.ask(stage.ada, 'POST', `/library/api/libraries/${uid}/members/`, member)
    },
  },
  'members.remove': {
    action: 'membership.removed',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      const members = `/library/api/libraries/${uid}/members/`
      await stage.have(stage.ada, 'POST', members, { username: stage.bob.name, role: 'reader' })
      return stage.ask(stage.ada, 'DELETE', `${members}${stage.bob.name}/reader/`)
    },
  },
  'members.allowInToken': {
    action: 'user_token.library_allowed',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      const { id } = await stage.mint()
      return stage.ask(stage.ada, 'PUT', `/library/api/libraries/${uid}/tokens/${id}/`)
    },
  },
  'members.removeFromToken': {
    action: 'user_token.library_removed',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      const { id } = await stage.mint()
      const path = `/library/api/libraries/${uid}/tokens/${id}/`
      await stage.have(stage.ada, 'PUT', path)
      return stage.ask(stage.ada, 'DELETE', path)
    },
  },

  'ingest.ingest': {
    action: 'job.accepted',
    async make(stage) {
      const { uid: library_uid } = await stage.makeLibrary()
      const key = `${stage.fresh('corncrake')}.md`
      const request = await stage.system.daedalus.put(key, '# Corncrake\n\nIt rasps.', { library_uid })
      return stage.ask(stage.ada, 'POST', '/library/api/ingest/', request)
    },
  },
  'ingest.jobs.list': 'reads',
  'ingest.jobs.get': 'reads',
  'ingest.jobs.retry': {
    action: 'job.retried',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      const { answer } = await stage.upload(stage.ada, { library_uid: uid }, NOT_A_PDF)
      const { job_id } = await stage.ended(stage.ada, (answer.body as Job).job_id)
      return stage.ask(stage.ada, 'POST', `/library/api/jobs/${job_id}/retry/`)
    },
  },
  'ingest.jobs.cancel': {
    action: 'job.cancelled',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      // A job may end before it is cancelled: then it is another one's turn.
      for (;;) {
        const { answer } = await stage.upload(stage.ada, { library_uid: uid }, longText())
        const { job_id } = answer.body as Job
        const made = await stage.ask(stage.ada, 'POST', `/library/api/jobs/${job_id}/cancel/`)
        if (made.answer.status !== 409) return made
      }
    },
  },
  'ingest.jobs.events': 'reads',
  'ingestAdmin.jobs': 'reads',
  upload: {
    action: 'job.accepted',
    async make(stage) {
      const { uid } = await stage.makeLibrary()
      return stage.upload(stage.ada, { library_uid: uid, title: 'Tidal almanac' }, '# Corncrake\n\nIt rasps.')
    },
  },

  'search.search': 'reads',
  'search.explain': 'reads',

  'admin.users.list': 'reads',
  'admin.users.create': {
    action: 'user.created',
    make: (stage) => {
      const user = { username: stage.fresh('user'), password: PASSWORD }
      return stage.ask(stage.root, 'POST', '/admin/api/users/', user)
    },
  },
  'admin.users.get': 'reads',
  'admin.users.update': {
    action: 'user.disabled',
    async make(stage) {
      const { id } = await stage.makeUser()
      return stage.ask(stage.root, 'PATCH', `/admin/api/users/${id}/`, { is_active: false })
    },
  },
  'admin.users.delete': {
    action: 'user.deleted',
    async make(stage) {
      const { id } = await stage.makeUser()
      return stage.ask(stage.root, 'DELETE', `/admin/api/users/${id}/`)
    },
  },
  'admin.users.endSessions': {
    action: 'user.sessions_ended',
    async make(stage) {
      const { made } = await stage.signIn()
      return stage.ask(stage.root, 'POST', `/admin/api/users/${made.actor}/logout-everywhere/`)
    },
  },
  'admin.groups.list': 'reads',
  'admin.tokens.list': 'reads',
  'admin.tokens.update': {
    action: 'user_token.edited',
    async make(stage) {
      const { id } = await stage.mint()
      return stage.ask(stage.root, 'PATCH', `/admin/api/tokens/${id}/`, { allowed_tools: ['search'] })
    },
  },
  'admin.tokens.revoke': {
    action: 'user_token.revoked',
    async make(stage) {
      const { id } = await stage.mint()
      return stage.ask(stage.root, 'POST', `/admin/api/tokens/${id}/revoke/`)
    },
  },
  'admin.teams.list': 'reads',
  'admin.teams.update': {
    action: 'team.renamed',
    async make(stage) {
      const { id } = await stage.makeTeam()
      return stage.ask(stage.root, 'PATCH', `/admin/api/teams/${id}/`, { name: 'Pathfinders' })
    },
  },
  'admin.signingKeys.list': 'reads',
  'admin.signingKeys.seed': {
    action: 'signing_key.created',
    make: (stage) => stage.ask(stage.root, 'POST', '/admin/api/signing-keys/', { kid: stage.fresh('key') }),
  },
  'admin.signingKeys.retire': {
    action: 'signing_key.retired',
    async make(stage) {
      const [old, current] = [stage.fresh('old'), stage.fresh('key')]
      for (const kid of [old, current])
        await stage.have(stage.root, 'POST', '/admin/api/signing-keys/', { kid })
      return stage.ask(stage.root, 'POST', `/admin/api/signing-keys/${old}/retire/`)
    },
  },
  'admin.audit.list': 'reads',
}

/** Marks what a query should find, in a library of its own. */
async function markGolden(stage: Stage): Promise<{ at: string; made: Made }> {
  const { uid } = await stage.makeLibrary()
  const { answer } = await stage.upload(stage.ada, { library_uid: uid }, '# Corncrake\n\nIt rasps.')
  const { item_uid } = await stage.ended(stage.ada, (answer.body as Job).job_id)
  const at = `/library/api/libraries/${uid}/golden-queries/`
  return { at, made: await stage.ask(stage.ada, 'POST', at, { query: 'what rasps?', item_uid }) }
}

function longText(): string {
  const paragraphs = Array.from({ length: 400 }, (_, n) => `The corncrake rasps ${randomUUID()}, part ${n}.`)
  return `# Corncrake\n\n${paragraphs.join('\n\n')}`
}
