import type { Preferences } from '@mnemosyne/contracts'
import { type Actor, FieldError } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext } from './context.ts'
import { type UserRow, userWithId } from './users.ts'

/** What is left out stays as it is. */
export interface ProfileChanges {
  first_name?: string
  last_name?: string
  preferences?: Partial<Preferences>
}

/** Changes what is a person's own to change. Throws FieldError, or DomainError USER_NOT_FOUND. */
export async function changeProfile(
  context: AuthContext,
  by: Actor,
  { id, changes }: { id: string; changes: ProfileChanges },
): Promise<UserRow> {
  const { preferences = {}, ...names } = changes
  const wanted: Partial<UserRow> = { ...names, ...preferences }
  if (preferences.time_zone !== undefined) wanted.time_zone = timeZone(preferences.time_zone)
  return context.sql.transaction(async (tx) => {
    const row = await userWithId(tx, id)
    const changed = Object.entries(wanted).filter(
      ([field, value]) => value !== undefined && value !== row[field as keyof UserRow],
    )
    if (changed.length === 0) return row
    const values = { ...Object.fromEntries(changed), updated_at: context.clock().toISOString() }
    await tx.updateTable('user').set(values).where('id', '=', id).execute()
    const fields = changed.map(([field]) => field).join(', ')
    await audit(tx, context, by, { action: 'user.changed', target: id, detail: { fields } })
    return { ...row, ...values }
  })
}

/** An IANA time zone in its own spelling. Throws FieldError. */
export function timeZone(given: string): string {
  try {
    // Offsets such as +01:00 are understood, too, but know no summer.
    if (/^[A-Za-z]/.test(given)) {
      const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: given }).resolvedOptions()
      return timeZone.toLowerCase() === given.toLowerCase() ? timeZone : given
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  throw new FieldError('preferences.time_zone', 'Must be an IANA time zone, such as Europe/Berlin.')
}
