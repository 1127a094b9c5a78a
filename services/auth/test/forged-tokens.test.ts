import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describePostgres } from '@mnemosyne/platform/testing'
import fc from 'fast-check'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { compact, openSpecimen, signed, strayBits } from './forgery.ts'
import { OTHER_TEAM, openTeamsWorld, TEAM, type TeamsWorld } from './teams-world.ts'

const START = new Date('2030-01-01T00:00:00.000Z')
const TEN_YEARS = 315_360_000
const SIGNATURE = 'bad_signature: Invalid MCP token.'
const KID = 'unknown_kid: Invalid MCP token.'
const CLAIMS = 'bad_claims: Invalid MCP token.'
const OPAQUE = 'unknown_token: Invalid MCP token.'
const PER_TURN = 'per_turn: Per-turn JWTs are no longer accepted; mint a team JWT.'
const EXPIRED = 'expired: Token has expired.'
const ISSUER = 'wrong_issuer: Invalid token issuer.'

let world: TeamsWorld
let jwt: string
let secret: Buffer
let header: Record<string, unknown>
let claims: Record<string, unknown>

const seconds = () => world.time.now.getTime() / 1000
const forge = (change: object = {}, head: object = {}) =>
  compact({ header: { ...header, ...head }, claims: { ...claims, ...change }, key: secret })
const without = (from: Record<string, unknown>, name: string) =>
  Object.fromEntries(Object.entries(from).filter(([key]) => key !== name))

/** Nothing here changes what is kept, so one system serves all. */
function suite(freshUrl: () => Promise<string>): void {
  beforeAll(async () => {
    world = await openTeamsWorld(await freshUrl())
    ;({ jwt, secret, header, claims } = await openSpecimen(world))
  })
  afterEach(() => {
    world.time.now = START
  })
  afterAll(() => world?.close())

  describe('claims', () => {
    const changed: [string, object, string][] = [
      ['of another issuer', { iss: 'mnemosyne.example' }, ISSUER],
      ['of an issuer in capitals', { iss: 'Mnemosyne' }, ISSUER],
      ['of an empty issuer', { iss: '' }, ISSUER],
      ['of several issuers', { iss: ['mnemosyne'] }, CLAIMS],
      ['of a per-turn token, by its issuer', { iss: 'daedalus' }, PER_TURN],
      ['of another type', { typ: 'user' }, CLAIMS],
      ['of a type in capitals', { typ: 'TEAM' }, CLAIMS],
      ['of a type that is a list', { typ: ['team'] }, CLAIMS],
      ['of no type that counts', { typ: null }, CLAIMS],
      ['with a subject that is no team', { sub: `user:${TEAM}` }, CLAIMS],
      ['with a subject without a uuid', { sub: 'team:' }, CLAIMS],
      ['with a bare uuid', { sub: TEAM }, CLAIMS],
      ['with a subject of more', { sub: `team:${TEAM}:x` }, CLAIMS],
      ['with a subject with a blank', { sub: ` team:${TEAM}` }, CLAIMS],
      ['with a subject with a line end', { sub: `team:${TEAM}\n` }, CLAIMS],
      ['with a subject in capitals', { sub: `TEAM:${TEAM}` }, CLAIMS],
      ['with a subject that asks the database', { sub: `team:' or '1'='1` }, CLAIMS],
      ['with a subject that is a list', { sub: [`team:${TEAM}`] }, CLAIMS],
      ['with a subject that is an object', { sub: { team: TEAM } }, CLAIMS],
      ['with an identifier that is a list', { jti: ['x'] }, CLAIMS],
      ['with an identifier that is true', { jti: true }, CLAIMS],
      ['with an end in words', { exp: '9999999999' }, CLAIMS],
      ['with an end that is null', { exp: null }, CLAIMS],
      ['with an end that is a list', { exp: [9_999_999_999] }, CLAIMS],
      ['with an end before 1970', { exp: -1 }, CLAIMS],
      ['with a beginning in words', { iat: 'now' }, CLAIMS],
      ['with a beginning that is null', { iat: null }, CLAIMS],
      ['with a lower bound in words', { nbf: '0' }, CLAIMS],
      ['with a lower bound that is null', { nbf: null }, CLAIMS],
    ]
    test.each(changed)('%s', async (_, change, refusal) => {
      expect(await world.present(forge(change))).toBe(refusal)
    })

    test.each([
      ['iss', CLAIMS],
      ['sub', CLAIMS],
      ['jti', CLAIMS],
      ['exp', CLAIMS],
      ['iat', CLAIMS],
      ['typ', PER_TURN],
    ])('without %s', async (name, refusal) => {
      const token = compact({ header, claims: without(claims, name), key: secret })
      expect(await world.present(token)).toBe(refusal)
    })

    test.each([
      ['no audience', (all: object) => without({ ...all }, 'aud')],
      ['another audience', (all: object) => ({ ...all, aud: ['elsewhere', 'mnemosyne'] })],
      ['a lower bound that has passed', (all: object) => ({ ...all, nbf: 0 })],
      ['parts of a second', (all: object) => ({ ...all, iat: seconds() - 0.5, exp: seconds() + 0.5 })],
      ['more than we know', (all: object) => ({ ...all, scope: { any: [1, 2, 'team'] }, exp2: 'x' })],
    ])('with %s are good', async (_, change) => {
      expect(await world.present(compact({ header, claims: change(claims), key: secret }))).toBe(
        'team of alice',
      )
    })

    const text = (extra: string) => JSON.stringify(claims).replace(/}$/, `${extra}}`)
    test.each<[string, () => unknown, string]>([
      ['that name a member twice', () => text(`,"sub":"team:${TEAM}"`), CLAIMS],
      ['that name one twice, first another', () => `{"jti":"x",${JSON.stringify(claims).slice(1)}`, CLAIMS],
      ['that name one twice, once in escapes', () => text(`,"\\u0073ub":"team:${OTHER_TEAM}"`), CLAIMS],
      ['that name what we do not know twice', () => text(',"x":1,"x":1'), CLAIMS],
      ['that name one twice further in', () => text(',"x":[{"y":{"z":1,"z":2}}]'), CLAIMS],
      ['that hide a name in a text', () => text(',"x":"\\",\\"sub\\":\\"","y":"}{:,"'), 'team of alice'],
      [
        'that use a name again elsewhere',
        () => text(',"x":{"sub":1,"y":[{"sub":2},{"sub":3}]}'),
        'team of alice',
      ],
      ['with blanks', () => JSON.stringify(claims, null, 2), 'team of alice'],
      ['in a list', () => [claims], CLAIMS],
      ['that are null', () => 'null', CLAIMS],
      ['that are a number', () => '1', CLAIMS],
      ['that are a text', () => JSON.stringify(JSON.stringify(claims)), CLAIMS],
      ['with more behind them', () => `${JSON.stringify(claims)}{}`, CLAIMS],
      ['with a comma too many', () => text(','), CLAIMS],
      ['with a mark of byte order', () => `\ufeff${JSON.stringify(claims)}`, CLAIMS],
      [
        'that are no UTF-8',
        () => Buffer.concat([Buffer.from(text(',"x":"').slice(0, -1)), Buffer.from([0xff, 0x22, 0x7d])]),
        CLAIMS,
      ],
      ['with an endless number', () => text(',"nbf":1e999'), CLAIMS],
      ['of the prototype', () => `{"__proto__":${JSON.stringify(claims)}}`, PER_TURN],
      ['nested beyond reason', () => text(`,"x":${'['.repeat(4_000)}${']'.repeat(4_000)}`), 'team of alice'],
    ])('%s', async (_, written, outcome) => {
      expect(await world.present(compact({ header, claims: written(), key: secret }))).toBe(outcome)
    })
  })

  describe('time', () => {
    test.each([
      ['29 s after its end', 29, 'team of alice'],
      ['a thousandth before the leeway ends', 29.999, 'team of alice'],
      ['30 s after its end', 30, EXPIRED],
      ['31 s after its end', 31, EXPIRED],
      ['a day after its end', 86_400, EXPIRED],
    ])('%s', async (_, late, outcome) => {
      world.time.now = new Date(((claims.exp as number) + late) * 1000)
      expect(await world.present(jwt)).toBe(outcome)
    })

    test.each(['iat', 'nbf'])('%s may lie 30 s ahead, and no more', async (name) => {
      for (const [ahead, outcome] of [
        [29, 'team of alice'],
        [30, 'team of alice'],
        [30.001, CLAIMS],
        [31, CLAIMS],
        [TEN_YEARS, CLAIMS],
      ] as const) {
        expect(await world.present(forge({ [name]: seconds() + ahead })), `${ahead}`).toBe(outcome)
      }
    })

    test('an expired token of a team that is gone is only told to be expired', async () => {
      expect(await world.present(forge({ exp: seconds() - 31, sub: `team:${OTHER_TEAM}` }))).toBe(EXPIRED)
      expect(await world.present(forge({ exp: seconds() - 31, iss: 'x' }))).toBe(EXPIRED)
    })
  })

  describe('the algorithm', () => {
    const none = (alg: string) =>
      [{ ...header, alg }, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.')

    test.each(['none', 'None', 'NONE', 'nOnE', ''])('is never %j', async (alg) => {
      expect(await world.present(`${none(alg)}.`)).toBe(OPAQUE)
      expect(await world.present(`${none(alg)}.${jwt.split('.')[2]}`)).toBe(SIGNATURE)
      expect(await world.present(forge({}, { alg }))).toBe(SIGNATURE)
    })

    test.each([
      ['HS384', 'sha384'],
      ['HS512', 'sha512'],
    ] as const)('is not %s, though the key signs', async (alg, hash) => {
      const strange = { header: { ...header, alg }, claims, key: secret }
      expect(await world.present(compact({ ...strange, hash }))).toBe(SIGNATURE)
      expect(await world.present(compact(strange))).toBe(SIGNATURE)
      expect(await world.present(compact({ ...strange, header, hash }))).toBe(SIGNATURE)
    })

    test.each([
      'hs256',
      'HS256 ',
      ' HS256',
      'HS256\0',
      'RS256',
      'ES256',
      'PS256',
      'EdDSA',
      'Ed25519',
      'dir',
      'A256KW',
      ['HS256'],
      { alg: 'HS256' },
      null,
      true,
      256,
    ])('is not %j', async (alg) => {
      expect(await world.present(forge({}, { alg }))).toBe(SIGNATURE)
    })

    test('is not left out', async () => {
      const token = compact({ header: without(header, 'alg'), claims, key: secret })
      expect(await world.present(token)).toBe(SIGNATURE)
    })

    test.each([
      ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
      ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
      ['EdDSA', () => generateKeyPairSync('ed25519')],
    ])(
      'is not taken for %s: neither a signature by it nor an HMAC over its public key',
      async (alg, keys) => {
        const { privateKey, publicKey } = keys()
        const own = await new SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(privateKey)
        expect(await world.present(own)).toBe(SIGNATURE)
        for (const type of ['spki', 'pkcs8'] as const) {
          const [der, pem] = (['der', 'pem'] as const).map((format) =>
            type === 'spki'
              ? publicKey.export({ type, format: format as 'pem' })
              : privateKey.export({ type, format: format as 'pem' }),
          )
          for (const key of [der!, pem!]) {
            expect(await world.present(compact({ header, claims, key }))).toBe(SIGNATURE)
            expect(await world.present(compact({ header: { ...header, alg }, claims, key }))).toBe(SIGNATURE)
          }
        }
      },
    )

    test.each([
      ['the hex of the secret', () => secret.toString('hex')],
      ['its base64url', () => secret.toString('base64url')],
      ['nothing', () => ''],
      ['the name of the key', () => 'k1'],
      ['zeros', () => Buffer.alloc(32)],
      ['half of it', () => secret.subarray(0, 16)],
      ['any other key', () => randomBytes(32)],
    ])('has the key, not %s', async (_, key) => {
      expect(await world.present(compact({ header, claims, key: key() }))).toBe(SIGNATURE)
    })
  })

  describe('the header', () => {
    test.each([
      ['another', 'k2'],
      ['in capitals', 'K1'],
      ['empty', ''],
      ['with a blank', 'k1 '],
      ['with NUL', 'k1\0'],
      ['that ends a statement', "k1'; drop table signing_key; --"],
      ['that is always true', "' or '1'='1"],
      ['that brings its own secret', `x' union select '${'00'.repeat(32)}`],
      ['that matches all', '%'],
      ['of a file', '../../../../dev/null'],
      ['of a file on another system', '..\\..\\nul'],
      ['of a file, by URL', 'file:///dev/null'],
      ['of a page', 'http://127.0.0.1:1/keys'],
      ['of a command', '$(id)|id'],
      ['very long', 'k'.repeat(5_000)],
      ['one longer than a name may be', 'k'.repeat(65)],
      ['of a list', ['k1']],
      ['of an object', { $ne: null }],
      ['of an object that reads as its name', { toString: 'k1' }],
      ['of a number', 1],
      ['of true', true],
      ['of null', null],
      ['of a member of every object', 'constructor'],
      ['of a prototype', '__proto__'],
    ])('names no key %s', async (_, kid) => {
      for (const key of [secret, Buffer.alloc(0), Buffer.alloc(32)]) {
        expect(await world.present(compact({ header: { ...header, kid }, claims, key }))).toBe(KID)
      }
      expect(await world.present(jwt)).toBe('team of alice')
    })

    test('names a key', async () => {
      expect(await world.present(compact({ header: { alg: 'HS256' }, claims, key: secret }))).toBe(KID)
    })

    test.each([
      ['critical members that nobody knows', { crit: ['x'], x: 1 }],
      ['critical members that we know', { crit: ['kid'] }],
      ['critical members that jose knows', { crit: ['b64'], b64: true }],
      ['an unencoded payload', { crit: ['b64'], b64: false }],
      ['an unencoded payload, and does not say so', { b64: false }],
      ['an encoded payload', { b64: true }],
      ['no critical members', { crit: [] }],
      ['critical members that are null', { crit: null }],
      ['critical members in words', { crit: 'exp' }],
    ])('asks for %s in vain', async (_, more) => {
      expect(await world.present(forge({}, more))).toBe(SIGNATURE)
    })

    test.each([
      ['a type', { typ: 'JWT' }],
      [
        'its own key, which is not looked at',
        { jwk: { kty: 'oct', k: Buffer.alloc(32).toString('base64url') } },
      ],
      ['where its keys are, where nobody goes', { jku: 'http://127.0.0.1:1/', x5u: 'http://127.0.0.1:1/' }],
    ])('may have %s', async (_, more) => {
      expect(await world.present(forge({}, more))).toBe('team of alice')
      expect(
        await world.present(compact({ header: { ...header, ...more }, claims, key: Buffer.alloc(32) })),
      ).toBe(SIGNATURE)
    })

    test.each<[string, () => unknown]>([
      ['twice the same', () => '{"alg":"HS256","kid":"k1","kid":"k1"}'],
      ['one of two algorithms', () => '{"alg":"none","alg":"HS256","kid":"k1"}'],
      ['one of two, in escapes', () => '{"alg":"HS256","kid":"k1","\\u0061lg":"none"}'],
      ['a list', () => [header]],
      ['null', () => 'null'],
      ['a text', () => '"HS256"'],
      ['no JSON', () => '{alg:"HS256",kid:"k1"}'],
      ['a mark of byte order', () => `\ufeff${JSON.stringify(header)}`],
      [
        'no UTF-8',
        () => Buffer.from('7b22616c67223a224853323536222c226b6964223a226b31222c2278223a22ff227d', 'hex'),
      ],
    ])('says %s in vain', async (_, written) => {
      expect(await world.present(compact({ header: written(), claims, key: secret }))).toBe(SIGNATURE)
    })
  })

  describe('the form', () => {
    const parts = () => jwt.split('.') as [string, string, string]
    const resigned = (head: string, body: string) => signed(`${head}.${body}`, secret)

    test.each<[string, () => string, string]>([
      ['one part', () => parts()[0], OPAQUE],
      ['two parts', () => parts().slice(0, 2).join('.'), OPAQUE],
      ['no signature', () => `${parts().slice(0, 2).join('.')}.`, OPAQUE],
      ['no claims', () => `${parts()[0]}..${parts()[2]}`, OPAQUE],
      ['no header', () => `.${parts()[1]}.${parts()[2]}`, OPAQUE],
      ['only dots', () => '..', OPAQUE],
      ['four parts', () => `${jwt}.${parts()[2]}`, OPAQUE],
      ['the five of an encrypted token', () => [...parts(), parts()[1], parts()[2]].join('.'), OPAQUE],
      ['a dot before', () => `.${jwt}`, OPAQUE],
      ['a dot behind', () => `${jwt}.`, OPAQUE],
      ['a comma behind', () => `${jwt},`, OPAQUE],
      ['itself twice', () => `${jwt} ${jwt}`, OPAQUE],
      ['itself twice, by comma', () => `${jwt}, Bearer ${jwt}`, OPAQUE],
      ['a blank in it', () => jwt.replace('.', ' .'), OPAQUE],
      ['a tab in it', () => jwt.replace('.', '.\t'), OPAQUE],
      ['a line end behind', () => `${jwt}\n`, OPAQUE],
      ['a blank that does not look like one', () => `${jwt}\u00a0`, OPAQUE],
      ['quotes', () => `"${jwt}"`, OPAQUE],
      ['padding', () => `${jwt}=`, OPAQUE],
      ['padding of the claims', () => resigned(parts()[0], `${parts()[1]}==`), OPAQUE],
      ['escapes', () => jwt.replaceAll('.', '%2E'), OPAQUE],
      [
        'JSON, flattened',
        () => JSON.stringify({ protected: parts()[0], payload: parts()[1], signature: parts()[2] }),
        OPAQUE,
      ],
      [
        'JSON, general',
        () =>
          JSON.stringify({
            payload: parts()[1],
            signatures: [{ protected: parts()[0], signature: parts()[2] }],
          }),
        OPAQUE,
      ],
      [
        'stray bits in the signature',
        () => `${parts().slice(0, 2).join('.')}.${strayBits(parts()[2])}`,
        SIGNATURE,
      ],
      ['half of the signature', () => jwt.slice(0, -21), SIGNATURE],
      ['a signature of one character', () => jwt.slice(0, -42), SIGNATURE],
      ['a signature and more', () => `${jwt}AAAA`, SIGNATURE],
      ['the signature of nothing', () => `${parts().slice(0, 2).join('.')}.${'A'.repeat(43)}`, SIGNATURE],
      ['the header twice', () => `${parts()[0]}.${parts()[0]}.${parts()[2]}`, PER_TURN],
      ['header and claims exchanged', () => resigned(parts()[1], parts()[0]), PER_TURN],
    ])('of %s is not ours', async (_, token, refusal) => {
      expect(await world.present(token())).toBe(refusal)
    })

    test('has one spelling', async () => {
      // 'k1' and these claims leave spare bits in both parts when a blank or two stand in them.
      const spare = (value: object) => {
        for (let text = JSON.stringify(value); ; text = `${text} `) {
          const part = Buffer.from(text).toString('base64url')
          if (part.length % 4 !== 0) return part
        }
      }
      const [head, body] = [spare(header), spare(claims)]
      expect(await world.present(resigned(head, body))).toBe('team of alice')
      expect(await world.present(resigned(strayBits(head), body))).toBe(SIGNATURE)
      expect(await world.present(resigned(head, strayBits(body)))).toBe(CLAIMS)
    })

    test('has the alphabet of URLs', async () => {
      for (let n = 0; ; n++) {
        const token = forge({ salt: `${n}ÿ?>~` })
        if (!/^[^.]*\.[^.]*[-_]/.test(token)) continue
        expect(await world.present(token)).toBe('team of alice')
        expect(await world.present(token.replaceAll('-', '+').replaceAll('_', '/'))).toBe(OPAQUE)
        break
      }
    })

    test('has an end', async () => {
      const longest = 16_384 - 'Bearer '.length
      const filled = (length: number) => {
        const bare = forge({ fill: '' }).length
        return forge({ fill: 'x'.repeat(Math.floor(((length - bare) * 3) / 4)) })
      }
      expect(await world.present(filled(longest))).toBe('team of alice')
      await expect(world.present(filled(longest + 100))).rejects.toMatchObject({ status: 400 })
    })
  })

  describe('a per-turn token is told so', () => {
    test.each<[string, () => string]>([
      [
        'signed by anybody',
        () => compact({ header: { alg: 'HS256' }, claims: { iss: 'daedalus' }, key: 'x' }),
      ],
      [
        'of no algorithm',
        () => compact({ header: { alg: 'none' }, claims: { iss: 'daedalus', typ: 'team' }, key: 'x' }),
      ],
      ['without a type', () => compact({ header, claims: without(claims, 'typ'), key: secret })],
      ['that has expired', () => compact({ header, claims: { iss: 'daedalus', exp: 1 }, key: secret })],
    ])('%s', async (_, token) => {
      expect(await world.present(token())).toBe(PER_TURN)
      expect(await world.resolve(`Bearer ${token()}`, 'rest')).toMatchObject({ reason: 'per_turn' })
    })
  })

  test('any one character that is another, one less or one more makes it worthless', async () => {
    const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ '
    const at = fc.nat(jwt.length - 1)
    const character = fc.constantFrom(...characters)
    const mutated = fc.oneof(
      fc.tuple(at, character).map(([n, other]) => jwt.slice(0, n) + other + jwt.slice(n + 1)),
      at.map((n) => jwt.slice(0, n) + jwt.slice(n + 1)),
      fc
        .tuple(at, character)
        .filter(([n, other]) => n > 0 || other !== ' ')
        .map(([n, other]) => jwt.slice(0, n) + other + jwt.slice(n)),
    )
    await fc.assert(
      fc.asyncProperty(mutated, async (token) => {
        fc.pre(token !== jwt)
        expect((await world.resolution(token)).outcome).toBe('refused')
      }),
      { numRuns: 300 },
    )
    for (let n = 0; n < jwt.length; n++) {
      const other = jwt[n] === 'A' ? 'B' : 'A'
      const found = await world.resolution(jwt.slice(0, n) + other + jwt.slice(n + 1))
      expect(found.outcome, `character ${n}`).toBe('refused')
    }
  })

  test('whatever is presented is refused, and nothing fails', async () => {
    const value = fc.jsonValue()
    const token = fc
      .record({ header: fc.oneof(value, fc.constant(header)), claims: value, good: fc.boolean() })
      .map(({ good, ...said }) => compact({ ...said, key: good ? secret : 'x' }))
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(token, fc.string({ maxLength: 300 }).filter(isHeaderText)),
        async (bearer) => {
          expect((await world.resolution(bearer)).outcome).toBe('refused')
        },
      ),
      { numRuns: 300 },
    )
  })
}

/** What this program's client will send in a header. */
const isHeaderText = (text: string) => /^[\t\x20-\x7e]*$/.test(text)

describe('tokens that nobody minted on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-forged-tokens-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('tokens that nobody minted on PostgreSQL', suite)
