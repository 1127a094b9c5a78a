import { Principal, type ServiceName } from '@mnemosyne/contracts'
import {
  type CryptoKey,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose'
import { z } from 'zod'
import { ConfigError } from './config.ts'

/** Seconds. Long enough for a slow upload's first byte, too short to be worth stealing. */
const LIFETIME = 60

const ALGORITHM = 'EdDSA'

const KeySet = z.object({
  keys: z
    .array(
      z.object({
        kty: z.literal('OKP'),
        crv: z.literal('Ed25519'),
        kid: z.string(),
        x: z.string(),
        d: z.string().optional(),
      }),
    )
    .min(1)
    .refine((keys) => new Set(keys.map(({ kid }) => kid)).size === keys.length),
})

/**
 * `ASSERTION_KEYS`: a JWK set of Ed25519 keys in JSON. A service that only verifies is given public keys
 * (no `d`); the first key that has a private part signs. Two keys at once are a rotation in progress.
 */
export type AssertionKeys = z.infer<typeof KeySet>

export function parseAssertionKeys(json: string): AssertionKeys {
  const keys = KeySet.safeParse(parsed(json))
  if (keys.success) return keys.data
  // Neither the text nor the parser's complaint, which quotes it: they hold private keys.
  throw new ConfigError('assertions', [
    'ASSERTION_KEYS must be a JWK set of Ed25519 keys in JSON, each of another kid: {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": …, "x": …, "d": …}]}',
  ])
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

export async function generateAssertionKeys(kid: string): Promise<AssertionKeys> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true })
  const jwk = await exportJWK(privateKey)
  return KeySet.parse({ keys: [{ ...jwk, kid }] })
}

/** The same set without its private parts. */
export function publicKeys(keys: AssertionKeys): AssertionKeys {
  return { keys: keys.keys.map(({ d: _, ...jwk }) => jwk) }
}

/** What signers and verifiers are given at one moment. */
export interface AssertionKeySets {
  sign: AssertionKeys
  verify: AssertionKeys
}

/**
 * The sets for three rounds of restarts that put `next` in the place of the key that signs now: everybody verifies
 * both, signers sign with the next, the old ones go. Within a round processes of the round before serve beside.
 */
export function rotationOf(current: AssertionKeys, next: AssertionKeys): AssertionKeySets[] {
  const [old, coming] = [publicKeys(current).keys, publicKeys(next).keys]
  const both = { keys: [...old, ...coming] }
  return [
    { sign: { keys: [...current.keys, ...coming] }, verify: both },
    { sign: { keys: [...next.keys, ...old] }, verify: both },
    { sign: next, verify: { keys: coming } },
  ]
}

export type Signer = (principal: Principal, audience: ServiceName) => Promise<string>

/** Signs principals for one audience each (a compact JWS, RFC 7515). Held by the gateway and the MCP service. */
export async function createSigner(issuer: 'gateway' | 'mcp', keys: AssertionKeys): Promise<Signer> {
  const own = keys.keys.find((jwk) => jwk.d !== undefined)
  if (!own) throw new Error('ASSERTION_KEYS holds no private key, so no principal can be signed.')
  const key = (await importJWK(own as JWK, ALGORITHM)) as CryptoKey
  return (principal, audience) =>
    new SignJWT({ principal })
      .setProtectedHeader({ alg: ALGORITHM, kid: own.kid, typ: 'principal+jwt' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(`${LIFETIME}s`)
      .sign(key)
}

/** The assertion is missing, forged, expired or for another service. */
export class AssertionError extends Error {
  readonly code = 'ASSERTION_REFUSED'

  constructor(options?: ErrorOptions) {
    super('The caller could not be verified.', options)
    this.name = 'AssertionError'
  }
}

export type Verifier = (assertion: string | null) => Promise<Principal>

/** Assertions that were found good and may be shown again: the gateway's own, and those of a busy caller. */
const MOST_REMEMBERED = 500

/**
 * Checks signature (by `kid`, EdDSA only), issuer, `audience` and lifetime, which is {@link LIFETIME} whatever `exp`
 * says; throws AssertionError. One that was found good is good until it expires, and is not checked again.
 */
export async function createVerifier(audience: ServiceName, keys: AssertionKeys): Promise<Verifier> {
  const byKid = new Map<string, CryptoKey>()
  for (const { d: _, ...jwk } of keys.keys)
    byKid.set(jwk.kid, (await importJWK(jwk as JWK, ALGORITHM)) as CryptoKey)
  const keyOf = ({ kid }: { kid?: string }): CryptoKey => {
    const key = kid === undefined ? undefined : byKid.get(kid)
    if (!key) throw new errors.JWKSNoMatchingKey()
    return key
  }
  const remembered = new Map<string, { until: number; principal: Principal }>()
  return async (assertion) => {
    if (!assertion) throw new AssertionError()
    const known = remembered.get(assertion)
    if (known && Date.now() < known.until) return known.principal
    try {
      const { payload } = await jwtVerify(assertion, keyOf, {
        algorithms: [ALGORITHM],
        typ: 'principal+jwt',
        issuer: ['gateway', 'mcp'],
        audience,
        requiredClaims: ['exp', 'iat'],
        maxTokenAge: LIFETIME,
        clockTolerance: 5,
      })
      const principal = frozen(Principal.parse(payload.principal))
      remembered.delete(assertion)
      const until = Math.min(payload.exp!, payload.iat! + LIFETIME) * 1000
      remembered.set(assertion, { until, principal })
      if (remembered.size > MOST_REMEMBERED) remembered.delete(remembered.keys().next().value!)
      return principal
    } catch (cause) {
      throw new AssertionError({ cause })
    }
  }
}

/** It is handed out again and again. */
function frozen(principal: Principal): Principal {
  for (const value of Object.values(principal)) Object.freeze(value)
  return Object.freeze(principal)
}
