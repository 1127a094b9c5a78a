import type { Delegations, Group, User } from '@mnemosyne/contracts'
import { FieldError, isUniqueViolation } from '@mnemosyne/platform'
import { type Administrator, assertMayTouch } from './administrators.ts'
import { audit } from './audit.ts'
import { changeUsers } from './change-users.ts'
import type { AuthContext } from './context.ts'
import { putGroups } from './groups.ts'
import { hashPassword } from './passwords.ts'
import { NO_STANDING, standingAfter } from './standing.ts'
import { checkUsername, usernameKey } from './username.ts'
import { assertNameFree, nameTaken, settleBeforeTaking, takeName } from './usernames.ts'
import { type UserRow, userOf } from './users.ts'

export interface NewUser {
  username: string
  email: string
  staff: boolean
  superuser: boolean
  /** null: the user signs in by token (or single sign-on) only. */
  password: string | null
  firstName?: string
  lastName?: string
  groups?: readonly Group[]
}

const EMAIL_MAX = 254
const PASSWORD_MIN = 8
const PASSWORD_MAX = 1_024

/**
 * Creates a user. Whoever had the name before leaves them nothing. Throws FieldError, or DomainError USERNAME_TAKEN,
 * USERNAME_BUSY, SUPERUSER_ONLY, LIBRARY_UNAVAILABLE.
 */
export async function createUser(
  context: AuthContext,
  who: Administrator,
  input: NewUser,
  delegations: Delegations = {},
): Promise<User> {
  const { username, email, password } = input
  checkUsername(username)
  checkEmail(email)
  if (password !== null) checkPassword(password)
  const standing = standingAfter(NO_STANDING, {
    is_superuser: input.superuser,
    groups: input.groups ?? [],
    // False is what stands there when nothing was said.
    ...(input.staff && { is_staff: true }),
  })
  const now = context.clock().toISOString()
  const row: UserRow = {
    id: context.ids(),
    username,
    username_key: usernameKey(username),
    named_at: now,
    email,
    first_name: input.firstName ?? '',
    last_name: input.lastName ?? '',
    password_hash: password === null ? null : await hashPassword(password),
    is_active: 1,
    is_staff: standing.is_staff ? 1 : 0,
    is_superuser: standing.is_superuser ? 1 : 0,
    organization: '',
    theme: 'system',
    time_zone: 'UTC',
    date_format: 'iso',
    created_at: now,
    updated_at: now,
  }
  await settleBeforeTaking(context, username, delegations)
  const { groups } = standing
  try {
    await changeUsers(context, async (tx) => {
      await assertMayTouch(tx, who, standing)
      await assertNameFree(tx, context, username)
      await takeName(tx, username)
      await tx.insertInto('user').values(row).execute()
      await putGroups(tx, context, who.by, { userId: row.id, groups })
      await audit(tx, context, who.by, {
        action: 'user.created',
        target: row.id,
        detail: {
          username,
          is_staff: standing.is_staff,
          is_superuser: standing.is_superuser,
          groups: groups.join(', '),
        },
      })
    })
  } catch (cause) {
    if (!isUniqueViolation(cause)) throw cause
    throw nameTaken(username, { cause })
  }
  return userOf(row, [...groups])
}

/** Throws FieldError. */
export function checkEmail(email: string): void {
  if (email === '' || (email.length <= EMAIL_MAX && /^[^\s@\0]+@[^\s@\0]+$/.test(email))) return
  throw new FieldError('email', 'This is no e-mail address.')
}

/** Throws FieldError. */
export function checkPassword(password: string): void {
  if (password.length >= PASSWORD_MIN && password.length <= PASSWORD_MAX) return
  throw new FieldError('password', `A password has ${PASSWORD_MIN} to ${PASSWORD_MAX} characters.`)
}
