import { createHmac } from 'node:crypto'
import { TEAM, type TeamsWorld } from './teams-world.ts'

/** A good token, and what it is made of. */
export interface Specimen {
  jwt: string
  secret: Buffer
  header: Record<string, unknown>
  claims: Record<string, unknown>
}

/** The token of a team of alice's, whose key is `k1`. */
export async function openSpecimen(world: TeamsWorld): Promise<Specimen> {
  await world.seed('k1')
  const jwt = await world.newTeam(TEAM)
  return { jwt, secret: await secretOf(world, 'k1'), header: decode(jwt, 0), claims: decode(jwt, 1) }
}

export async function secretOf({ sql }: TeamsWorld, kid: string): Promise<Buffer> {
  const { secret } = await sql.read
    .selectFrom('signing_key')
    .select('secret')
    .where('kid', '=', kid)
    .executeTakeFirstOrThrow()
  return Buffer.from(secret, 'hex')
}

/** Header (0) or claims (1) of a token. */
export function decode(jwt: string, part: 0 | 1): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[part]!, 'base64url').toString())
}

/** What a party may be that writes tokens by hand: every part as bytes, text or a value that becomes JSON. */
export interface Parts {
  header: unknown
  claims: unknown
  /** Bytes of the key; of `hash`. */
  key: Uint8Array | string
  hash?: 'sha256' | 'sha384' | 'sha512'
}

const encode = (part: unknown) =>
  Buffer.from(
    typeof part === 'string' ? part : part instanceof Uint8Array ? part : JSON.stringify(part),
  ).toString('base64url')

/** A compact JWS whose signature is the HMAC of what it says, whatever that is. */
export function compact({ header, claims, key, hash = 'sha256' }: Parts): string {
  return signed(`${encode(header)}.${encode(claims)}`, key, hash)
}

/** The HMAC over a signing input that is given as it is. */
export function signed(input: string, key: Uint8Array | string, hash: Parts['hash'] = 'sha256'): string {
  return `${input}.${createHmac(hash ?? 'sha256', key)
    .update(input)
    .digest('base64url')}`
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The same bytes in another spelling: the last character differs in bits that belong to no byte. */
export function strayBits(part: string): string {
  const last = ALPHABET.indexOf(part.at(-1)!)
  const spare = part.length % 4 === 2 ? 16 : part.length % 4 === 3 ? 4 : 1
  if (spare === 1) throw new Error('every bit of this part belongs to a byte')
  return part.slice(0, -1) + ALPHABET[last - (last % spare) + ((last + 1) % spare)]
}
