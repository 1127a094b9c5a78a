import { createHash, randomBytes } from 'node:crypto'
import type { Resolution, Surface } from '@mnemosyne/contracts'

export type Refused = Extract<Resolution, { outcome: 'refused' }>

const PREFIX = 'mnem_'
const HINT_LENGTH = 8
/** Keyword and credential, with the blanks of RFC 9110 around them and no others. */
const AUTHORIZATION = /^[ \t]*([^ \t]*)[ \t]*(.*?)[ \t]*$/s
const JWT_SHAPE = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

/** A new token: its plaintext, to be shown once, and the hash that is kept. */
export function newToken(): { plaintext: string; hash: string } {
  const plaintext = `${PREFIX}${randomBytes(32).toString('base64url')}`
  return { plaintext, hash: hashOf(plaintext) }
}

/** SHA-256 in hex. A token has 256 random bits, so a slow hash would add nothing. */
export function hashOf(plaintext: string): string {
  return createHash('sha256').update(plaintext).digest('hex')
}

export function hintOf(hash: string): string {
  return `tok_${hash.slice(0, HINT_LENGTH)}`
}

export function refused(reason: Refused['reason'], detail: string): Refused {
  return { outcome: 'refused', reason, detail }
}

export const UNKNOWN_TOKEN = refused('unknown_token', 'Invalid MCP token.')

/**
 * What an `Authorization` header holds: the hash of an opaque token to look up, a team token to verify, or why it is
 * refused. What has not exactly three parts of base64url is opaque, and will not be found.
 */
export function classify(
  authorization: string,
  surface: Surface,
): { hash: string } | { jwt: string } | Refused {
  const [, keyword = '', credential = ''] = AUTHORIZATION.exec(authorization) ?? []
  if (keyword.toLowerCase() !== 'bearer') {
    return refused('wrong_keyword', 'Use the keyword Bearer: "Authorization: Bearer <token>".')
  }
  const jwt = JWT_SHAPE.exec(credential)
  if (!jwt) return { hash: hashOf(credential) }
  if (isPerTurn(jwt[2]!)) {
    return refused('per_turn', 'Per-turn JWTs are no longer accepted; mint a team JWT.')
  }
  if (surface === 'rest') return refused('team_on_rest', 'Team tokens are accepted on MCP only.')
  return { jwt: credential }
}

/** The legacy shape, by its claims, which nobody vouches for: good enough to word a refusal. */
function isPerTurn(payload: string): boolean {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    if (claims === null || typeof claims !== 'object' || Array.isArray(claims)) return false
    return !('typ' in claims) || ('iss' in claims && claims.iss === 'daedalus')
  } catch {
    return false
  }
}
