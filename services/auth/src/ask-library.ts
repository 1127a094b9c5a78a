import { CallError } from '@mnemosyne/contracts'
import { DomainError } from '@mnemosyne/platform'

/** What the library service answers; that it cannot be reached is a refusal for the caller. */
export async function askLibrary<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (cause) {
    // What it refuses has a fault of ours for its reason, but for a delegation that came to its end.
    if (cause instanceof CallError && cause.status < 500 && cause.status !== 401) throw cause
    throw new DomainError(
      'LIBRARY_UNAVAILABLE',
      'The libraries cannot be reached right now. Try again shortly.',
      { cause },
    )
  }
}
