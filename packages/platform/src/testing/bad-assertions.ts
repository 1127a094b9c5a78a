import { createHmac } from 'node:crypto'
import { type Principal, SERVICE_NAMES, type ServiceName, servicePrincipal } from '@mnemosyne/contracts'
import { importJWK, type JWK, type JWTPayload, SignJWT } from 'jose'
import { type AssertionKeys, createSigner, generateAssertionKeys, publicKeys } from '../assertion.ts'

type Header = Record<string, unknown>

const encoded = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')

/**
 * Assertions that no service may believe, by what is wrong with them. `keys` hold the private key that really signs,
 * `audience` is the service that they are shown to.
 */
export async function badAssertions(
  keys: AssertionKeys,
  audience: ServiceName,
): Promise<Map<string, string | null>> {
  const own = keys.keys.find(({ d }) => d !== undefined)!
  const strange = await generateAssertionKeys(own.kid)
  const now = Math.floor(Date.now() / 1000)
  const principal: Principal = { ...servicePrincipal('rest'), kind: 'service' }
  const claims = { principal, iss: 'gateway', aud: audience, iat: now, exp: now + 60 }
  const header = { alg: 'EdDSA', kid: own.kid, typ: 'principal+jwt' }
  const sign = async (changes: Record<string, unknown> = {}, headers: Header = {}, jwk = own as JWK) => {
    const payload = JSON.parse(JSON.stringify({ ...claims, ...changes })) as JWTPayload
    const protectedHeader = JSON.parse(JSON.stringify({ ...header, ...headers })) as typeof header
    const crit = headers.crit
      ? { crit: Object.fromEntries([headers.crit].flat().map((name) => [name, true])) }
      : {}
    return new SignJWT(payload).setProtectedHeader(protectedHeader).sign(await importJWK(jwk, 'EdDSA'), crit)
  }
  const good = await (await createSigner('gateway', keys))(principal, audience)
  const [head, body, signature] = good.split('.') as [string, string, string]
  const raised = { ...claims, principal: { ...principal, resolved_libraries: ['everything'] } }
  /** As if the public key were a shared secret. */
  const byHmac = (secret: string | Buffer) => {
    const unsigned = `${encoded({ ...header, alg: 'HS256' })}.${encoded(claims)}`
    return `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`
  }
  const verifying = publicKeys(keys).keys[0]!
  const replayed = SERVICE_NAMES.filter((name) => name !== audience).map(
    async (name) => [`for ${name}`, await (await createSigner('gateway', keys))(principal, name)] as const,
  )
  return new Map<string, string | null>([
    ['missing', null],
    ['empty', ''],
    ['no JWS', 'forged'],
    ['signed by a key of the same name', await sign({}, {}, strange.keys[0] as JWK)],
    [
      'with its own key beside it',
      await sign({}, { jwk: publicKeys(strange).keys[0] }, strange.keys[0] as JWK),
    ],
    ['with another payload', [head, encoded(raised), signature].join('.')],
    ['without a signature', [head, body, ''].join('.')],
    ['with a signature that was changed', [head, body, flipped(signature)].join('.')],
    ['twice', `${good}, ${good}`],
    ['in JSON', JSON.stringify({ protected: head, payload: body, signature })],
    ['alg none', [encoded({ ...header, alg: 'none' }), encoded(claims), ''].join('.')],
    ['alg none, signed all the same', [encoded({ ...header, alg: 'none' }), body, signature].join('.')],
    ['HS256 over the public key', byHmac(Buffer.from(verifying.x, 'base64url'))],
    ['HS256 over the public JWK', byHmac(JSON.stringify(verifying))],
    ['of an unknown kid', await sign({}, { kid: 'unknown' })],
    ['without a kid', await sign({}, { kid: undefined })],
    ['with an extension that has to be understood', await sign({}, { crit: ['scope'], scope: 'all' })],
    ['of another type', await sign({}, { typ: 'JWT' })],
    ['without a type', await sign({}, { typ: undefined })],
    ['expired', await sign({ iat: now - 90, exp: now - 30 })],
    ['issued long ago, for long', await sign({ iat: now - 3_600, exp: now + 3_600 })],
    ['of tomorrow', await sign({ iat: now + 3_600, exp: now + 3_660 })],
    ['not good yet', await sign({ nbf: now + 3_600 })],
    ['without an end', await sign({ exp: undefined })],
    ['without a beginning', await sign({ iat: undefined })],
    ['of another issuer', await sign({ iss: 'library' })],
    ['of no issuer', await sign({ iss: undefined })],
    ['for nobody', await sign({ aud: undefined })],
    ['without a principal', await sign({ principal: undefined })],
    ['with a principal of another kind', await sign({ principal: { ...principal, kind: 'root' } })],
    ['with half a principal', await sign({ principal: { kind: 'service', surface: 'rest' } })],
    ...(await Promise.all(replayed)),
  ])
}

/** Another character in the middle, where every bit counts. */
function flipped(signature: string): string {
  const at = Math.floor(signature.length / 2)
  return `${signature.slice(0, at)}${signature[at] === 'A' ? 'B' : 'A'}${signature.slice(at + 1)}`
}
