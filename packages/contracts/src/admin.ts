import { oc } from '@orpc/contract'
import { z } from 'zod'
import { auditContract } from './audit.ts'
import { FreeText, IsoTime, listOf, Name, Page } from './common.ts'
import { Team } from './teams.ts'
import { EditToken, Group, Password, User, UserToken } from './users.ts'

const base = oc.route({ tags: ['admin'] })

const byId = z.object({ id: z.string() })

export const NewUser = z.object({
  username: z.string().min(1).max(150),
  email: FreeText(254).default(''),
  first_name: FreeText(150).default(''),
  last_name: FreeText(150).default(''),
  /** Null: the user signs in by token (or single sign-on) only. */
  password: Password.nullable().default(null),
  is_staff: z.boolean().default(false),
  is_superuser: z.boolean().default(false),
  groups: z.array(Group).default([]),
})

/** What is left out stays as it is. */
const EditUser = z.object({
  username: z.string().min(1).max(150).optional(),
  email: FreeText(254).optional(),
  first_name: FreeText(150).optional(),
  last_name: FreeText(150).optional(),
  is_active: z.boolean().optional(),
  is_staff: z.boolean().optional(),
  is_superuser: z.boolean().optional(),
  groups: z.array(Group).optional(),
  password: Password.nullable().optional(),
})

const users = {
  list: base
    .route({
      method: 'GET',
      path: '/admin/api/users/',
      summary: 'Users (staff)',
      outputStructure: 'detailed',
    })
    .input(Page.extend({ q: FreeText(200).optional(), is_active: z.stringbool().optional() }))
    .output(listOf(User)),
  create: base
    .route({
      method: 'POST',
      path: '/admin/api/users/',
      summary: 'Create a user (staff)',
      successStatus: 201,
    })
    .input(NewUser)
    .output(User),
  get: base
    .route({ method: 'GET', path: '/admin/api/users/{id}/', summary: 'A user (staff)' })
    .input(byId)
    .output(User),
  update: base
    .route({
      method: 'PATCH',
      path: '/admin/api/users/{id}/',
      summary: 'Change, rename, disable or enable a user (staff; other staff only by a superuser)',
    })
    .input(byId.extend(EditUser.shape))
    .output(User),
  delete: base
    .route({
      method: 'DELETE',
      path: '/admin/api/users/{id}/',
      summary: 'Delete a user; says what becomes of the libraries that they own (staff)',
      successStatus: 204,
      inputStructure: 'detailed',
    })
    .input(
      z.object({
        params: byId,
        query: z.object({
          /** The user name of who owns their libraries from now on. */
          hand_over_to: FreeText(150).optional(),
          /** Their libraries go, with all in them. */
          delete_libraries: z.stringbool().default(false),
        }),
      }),
    )
    .output(z.void()),
  endSessions: base
    .route({
      method: 'POST',
      path: '/admin/api/users/{id}/logout-everywhere/',
      summary: "End all of a user's sessions (staff)",
      successStatus: 204,
    })
    .input(byId)
    .output(z.void()),
}

const groups = {
  list: base
    .route({ method: 'GET', path: '/admin/api/groups/', summary: 'Groups and how many are in each (staff)' })
    .output(z.array(z.object({ name: Group, user_count: z.number().int() }))),
}

const AdminToken = UserToken.extend({ username: z.string() })

const tokens = {
  list: base
    .route({
      method: 'GET',
      path: '/admin/api/tokens/',
      summary: "Everybody's tokens, masked (staff)",
      outputStructure: 'detailed',
    })
    .input(Page.extend({ username: FreeText(150).optional() }))
    .output(listOf(AdminToken)),
  update: base
    .route({
      method: 'PATCH',
      path: '/admin/api/tokens/{id}/',
      summary: "Change what somebody's token may; libraries that its user reads (staff)",
    })
    .input(EditToken.extend(byId.shape))
    .output(AdminToken),
  revoke: base
    .route({
      method: 'POST',
      path: '/admin/api/tokens/{id}/revoke/',
      summary: "Revoke somebody's token (staff)",
      successStatus: 204,
    })
    .input(byId)
    .output(z.void()),
}

const AdminTeam = Team.extend({ owner_username: z.string() })

const teams = {
  list: base
    .route({
      method: 'GET',
      path: '/admin/api/teams/',
      summary: "Everybody's teams (staff)",
      outputStructure: 'detailed',
    })
    .input(Page.extend({ owner: FreeText(150).optional() }))
    .output(listOf(AdminTeam)),
  update: base
    .route({
      method: 'PATCH',
      path: '/admin/api/teams/{id}/',
      summary: 'Rename, reactivate or deactivate a team; no token before it is rotated (staff)',
    })
    .input(byId.extend({ name: Name(200).optional(), active: z.boolean().optional() }))
    .output(AdminTeam),
}

/** Its secret is shown nowhere. */
export const SigningKey = z.object({
  kid: z.string(),
  /** It signs what is minted now. */
  is_current: z.boolean(),
  created_at: IsoTime,
  retired_at: IsoTime.nullable(),
})
export type SigningKey = z.infer<typeof SigningKey>

const signingKeys = {
  list: base
    .route({ method: 'GET', path: '/admin/api/signing-keys/', summary: 'Keys of team tokens (staff)' })
    .output(z.array(SigningKey)),
  seed: base
    .route({
      method: 'POST',
      path: '/admin/api/signing-keys/',
      summary: 'Make a signing key, or find it, and let it sign from now on (staff)',
    })
    .input(z.object({ kid: z.string().min(1).max(64), retire_other: z.boolean().default(false) }))
    .output(SigningKey),
  retire: base
    .route({
      method: 'POST',
      path: '/admin/api/signing-keys/{kid}/retire/',
      summary: 'Retire a key for good: tokens that it signed die at once (staff)',
    })
    .input(z.object({ kid: z.string() }))
    .output(SigningKey),
}

/** Administration that auth serves. */
export const adminContract = { users, groups, tokens, teams, signingKeys, audit: auditContract }
