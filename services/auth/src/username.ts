import { FieldError } from '@mnemosyne/platform'

export const USERNAME_MAX = 150

/** Throws FieldError. */
export function checkUsername(username: string): void {
  const allowed = username.length <= USERNAME_MAX && /^[\p{L}\p{N}@.+_-]+$/u.test(username)
  // A path of dots alone would be another path.
  if (allowed && !/^\.+$/.test(username)) return
  throw new FieldError(
    'username',
    `A user name has 1 to ${USERNAME_MAX} letters, digits and @ . + - _ characters.`,
  )
}

/**
 * Equal for names that differ only in case, width or composition (Unicode NFKC, lower case). Two users never have
 * equal keys, so that nobody passes for another; a name is nevertheless looked up as it is stored.
 */
export function usernameKey(username: string): string {
  return username.normalize('NFKC').toLowerCase().normalize('NFKC')
}
