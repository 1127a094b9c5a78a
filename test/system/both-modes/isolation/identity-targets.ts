import { randomUUID } from 'node:crypto'
import { CSRF_HEADER } from '@mnemosyne/contracts'
import { clientOf, expectStatus } from './clients.ts'
import { bearer, makePerson, mint } from './people.ts'
import { type Asker, MALFORMED_ID, MISSING_ID, waysOf } from './way.ts'
import { KID, makeAccount, makeTeam } from './world.ts'

const nowhere = { missing: MISSING_ID, malformed: MALFORMED_ID, unnamed: '' }

/** The id that stands for a relation. */
function idIn({ relation }: Asker, ids: Record<string, string>): string {
  const id = { ...nowhere, ...ids }[relation]
  if (id === undefined) throw new Error(`nothing stands in the relation ${relation}`)
  return id
}

export const ofToken = waysOf<{ token_id: string }>('token', {
  standing(asker) {
    const { tokens, kim } = asker.world
    const { own, revoked } = tokens[asker.person.name]!
    return { token_id: idIn(asker, { own, revoked, foreign: tokens[kim.name]!.own }) }
  },
  async fresh({ world: { system }, person, relation }) {
    const { id } = await mint(system, bearer(person.token), {})
    if (relation === 'revoked') {
      const path = `/profile/api/tokens/${id}/revoke/`
      expectStatus(await clientOf(system, person).call('POST', path), 204)
    }
    return { token_id: id }
  },
})

export const ofTeam = waysOf<{ team_id: string }>('team', {
  standing(asker) {
    const { teams, kim } = asker.world
    const { own, inactive } = teams[asker.person.name]!
    return { team_id: idIn(asker, { own, inactive, foreign: teams[kim.name]!.own }) }
  },
  async fresh({ world: { system }, person, relation }) {
    if (relation === 'missing') return { team_id: randomUUID() }
    const { id } = await makeTeam(system, person)
    if (relation === 'inactive') {
      expectStatus(await clientOf(system, person).call('DELETE', `/mcp_server/api/teams/${id}/`), 204)
    }
    return { team_id: id }
  },
})

/** Accounts, for staff. */
export const ofAccount = waysOf<{ user_id: string }>('account', {
  standing: (asker) => ({ user_id: idIn(asker, asker.world.accounts) }),
  fresh: async ({ world, relation }) => ({ user_id: await makeAccount(world.system, relation) }),
})

// What somebody else holds, for staff.

export const heldToken = waysOf<{ held_id: string }>('held', {
  standing: (asker) => ({ held_id: idIn(asker, { existing: asker.world.tokens.kim!.own }) }),
  fresh: async ({ world: { system, kim } }) => ({ held_id: (await mint(system, bearer(kim.token), {})).id }),
})

export const heldTeam = waysOf<{ held_id: string }>('held', {
  standing: (asker) => ({ held_id: idIn(asker, { existing: asker.world.teams.kim!.own }) }),
  fresh: async ({ world: { system, kim } }) => ({ held_id: (await makeTeam(system, kim)).id }),
})

/** Keys; a fresh one signs nothing more. */
export const heldKey = waysOf<{ held_id: string }>('held', {
  standing: (asker) => ({ held_id: idIn(asker, { existing: KID }) }),
  async fresh({ world: { system } }) {
    const kid = `fresh-${randomUUID()}`
    for (const next of [kid, KID]) {
      expectStatus(await clientOf(system).call('POST', '/admin/api/signing-keys/', { kid: next }), 200)
    }
    return { held_id: kid }
  },
})

/**
 * What is the caller's alone, and has no name. Where asking ends a session, somebody else asks in the same way who is
 * made for it.
 */
export const ofOneself = waysOf<{ username: string }>('oneself', {
  standing: ({ person }) => ({ username: person.name }),
  async fresh({ world: { system }, session }) {
    const twin = await makePerson(system, `twin-${randomUUID()}`, 'none')
    const cookie = { cookie: twin.cookie, [CSRF_HEADER]: twin.csrf }
    return { username: twin.name, headers: session ? cookie : bearer(twin.token) }
  },
})
