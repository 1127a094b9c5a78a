import { Uid } from '@mnemosyne/contracts'
import { compactVerify, errors, SignJWT } from 'jose'
import { z } from 'zod'
import { type Refused, refused } from './credential.ts'
import { KID } from './signing-keys.ts'
import { readJsonObject } from './unambiguous-json.ts'

/** A key of team tokens: 256 bits in hex. */
export interface TeamTokenKey {
  kid: string
  secret: string
}

/** What a team token says of itself, once its signature has been found good. */
export interface TeamClaims {
  teamId: string
  jti: string
}

const ALGORITHM = 'HS256'
const ISSUER = 'mnemosyne'
const TYPE = 'team'
const SUBJECT = /^team:(.+)$/

/** Seconds: ten years. It ends by a rotation, long before. */
const LIFETIME = 315_360_000

/** Seconds by which the clocks of those who sign and those who verify may differ. */
const LEEWAY = 30

/** Neither `crit` nor `b64`: each changes what the signature says, and no token of ours has them. */
const Header = z.looseObject({
  alg: z.literal(ALGORITHM),
  crit: z.never().optional(),
  b64: z.never().optional(),
})

const Time = z.number().nonnegative()
const Claims = z.looseObject({
  iss: z.string(),
  sub: z.string(),
  typ: z.string(),
  jti: z.string(),
  iat: Time,
  exp: Time,
  nbf: Time.optional(),
})

const INVALID = 'Invalid MCP token.'

/** A compact JWS (RFC 7515) of the claims that a team token has (RFC 7519). Who sees it is the team. */
export function signTeamToken(
  { kid, secret }: TeamTokenKey,
  { teamId, jti }: TeamClaims,
  now: Date,
): Promise<string> {
  const issuedAt = Math.floor(now.getTime() / 1000)
  return new SignJWT({ typ: TYPE })
    .setProtectedHeader({ alg: ALGORITHM, kid })
    .setIssuer(ISSUER)
    .setAudience(ISSUER)
    .setSubject(`team:${teamId}`)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + LIFETIME)
    .setJti(jti)
    .sign(bytesOf(secret))
}

/**
 * Verifies a token of three parts: its header, its signature by the key that `secretOf` knows by the name in the
 * header, and its claims, in this order. What stands in the database of its team is not asked here.
 */
export async function readTeamToken(
  jwt: string,
  secretOf: (kid: string) => Promise<string | undefined>,
  now: Date,
): Promise<TeamClaims | Refused> {
  const header = Header.safeParse(objectIn(jwt, 0))
  if (!header.success) return refused('bad_signature', INVALID)
  const { kid } = header.data
  const secret = typeof kid === 'string' && KID.test(kid) ? await secretOf(kid) : undefined
  if (secret === undefined) return refused('unknown_kid', INVALID)
  if (!(await isSigned(jwt, secret))) return refused('bad_signature', INVALID)
  const claims = Claims.safeParse(objectIn(jwt, 1))
  if (!claims.success) return refused('bad_claims', INVALID)
  return checkClaims(claims.data, now.getTime() / 1000)
}

function checkClaims(claims: z.infer<typeof Claims>, now: number): TeamClaims | Refused {
  if (now >= claims.exp + LEEWAY) return refused('expired', 'Token has expired.')
  if (Math.max(claims.iat, claims.nbf ?? 0) > now + LEEWAY) return refused('bad_claims', INVALID)
  if (claims.iss !== ISSUER) return refused('wrong_issuer', 'Invalid token issuer.')
  const [, teamId] = SUBJECT.exec(claims.sub) ?? []
  if (claims.typ !== TYPE || !Uid.safeParse(teamId).success) return refused('bad_claims', INVALID)
  return { teamId: teamId!, jti: claims.jti }
}

async function isSigned(jwt: string, secret: string): Promise<boolean> {
  // A signature has other spellings in base64url that decode to the same bytes: only one of them is the token's.
  if (bytesIn(jwt, 2) === undefined) return false
  try {
    await compactVerify(jwt, bytesOf(secret), { algorithms: [ALGORITHM] })
    return true
  } catch (error) {
    if (error instanceof errors.JOSEError) return false
    throw error
  }
}

function objectIn(jwt: string, part: 0 | 1): Record<string, unknown> | undefined {
  const bytes = bytesIn(jwt, part)
  return bytes && readJsonObject(bytes)
}

/** The bytes of a part; undefined when it is not the way to write them. */
function bytesIn(jwt: string, part: 0 | 1 | 2): Uint8Array | undefined {
  const text = jwt.split('.')[part] ?? ''
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

function bytesOf(secret: string): Uint8Array {
  return Buffer.from(secret, 'hex')
}
