import { hash, verify } from '@node-rs/argon2'

/** OWASP's parameters for argon2id: memory in KiB (19 MiB), two passes, one lane. */
const ARGON2ID = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** How a hash of these parameters begins, in PHC format. */
const CURRENT = `$argon2id$v=19$m=${ARGON2ID.memoryCost},t=${ARGON2ID.timeCost},p=${ARGON2ID.parallelism}$`

export function hashPassword(password: string): Promise<string> {
  return hash(password, ARGON2ID)
}

export function isPassword(hash: string, password: string): Promise<boolean> {
  return verify(hash, password)
}

/** Whether a hash was made with other parameters than new ones are. */
export function isOutdated(hash: string): boolean {
  return !hash.startsWith(CURRENT)
}
