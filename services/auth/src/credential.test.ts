import type { Surface } from '@mnemosyne/contracts'
import { describe, expect, test } from 'vitest'
import { classify, hashOf, hintOf, newToken } from './credential.ts'

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const jwt = (claims: unknown) => `${part({ alg: 'HS256', kid: 'k1' })}.${part(claims)}.c2lnbmF0dXJl`

const TEAM = { iss: 'mnemosyne', aud: 'mnemosyne', sub: 'team:1', typ: 'team' }
const USE_BEARER = 'Use the keyword Bearer: "Authorization: Bearer <token>".'
const PER_TURN = 'Per-turn JWTs are no longer accepted; mint a team JWT.'

describe('is refused before any look-up', () => {
  test.each<[string, string, Surface, string, string]>([
    ['nothing', '', 'rest', 'wrong_keyword', USE_BEARER],
    ['a bare token', 'mnem_abc', 'rest', 'wrong_keyword', USE_BEARER],
    ['the legacy keyword', 'Token mnem_abc', 'rest', 'wrong_keyword', USE_BEARER],
    ['Basic', 'Basic YWxpY2U6eA==', 'mcp', 'wrong_keyword', USE_BEARER],
    ['a look-alike of the keyword', 'Bearer2 x', 'rest', 'wrong_keyword', USE_BEARER],
    [
      'a team JWT on REST',
      `Bearer ${jwt(TEAM)}`,
      'rest',
      'team_on_rest',
      'Team tokens are accepted on MCP only.',
    ],
    [
      'a per-turn JWT by its issuer',
      `Bearer ${jwt({ ...TEAM, iss: 'daedalus' })}`,
      'mcp',
      'per_turn',
      PER_TURN,
    ],
    ['a per-turn JWT without typ', `Bearer ${jwt({ iss: 'mnemosyne' })}`, 'mcp', 'per_turn', PER_TURN],
    ['a per-turn JWT on REST', `Bearer ${jwt({ iss: 'daedalus' })}`, 'rest', 'per_turn', PER_TURN],
    ['a JWT of null', `Bearer ${jwt(null)}`, 'rest', 'team_on_rest', 'Team tokens are accepted on MCP only.'],
  ])('%s', (_, authorization, surface, reason, detail) => {
    expect(classify(authorization, surface)).toEqual({ outcome: 'refused', reason, detail })
  })
})

test.each(['Bearer mnem_abc', 'bearer mnem_abc', 'BEARER  mnem_abc ', 'Bearer\tmnem_abc'])(
  '%j is looked up by its hash',
  (authorization) => {
    expect(classify(authorization, 'mcp')).toEqual({ hash: hashOf('mnem_abc') })
  },
)

test.each([jwt(TEAM), jwt([]), 'a.b.c'])('what has three parts is verified on MCP: %s', (token) => {
  expect(classify(`bearer\t${token} `, 'mcp')).toEqual({ jwt: token })
})

test.each(['\u00a0', '\n', '\ufeff', '='])('what has three parts and %j is not trimmed', (more) => {
  expect(classify(`Bearer ${jwt(TEAM)}${more}`, 'mcp')).toEqual({ hash: hashOf(`${jwt(TEAM)}${more}`) })
})

test.each(['Bearer', 'Bearer ', 'Bearer a.b', 'Bearer a.b.c.d', 'Bearer x y', 'Bearer ..', 'bearer é.ü.ß'])(
  '%j is looked up as well, and will not be found',
  (authorization) => expect(classify(authorization, 'rest')).toHaveProperty('hash'),
)

test('a token has 256 random bits, and only its hash is kept', () => {
  const { plaintext, hash } = newToken()
  expect(plaintext).toMatch(/^mnem_[\w-]{43}$/)
  expect(hash).toMatch(/^[0-9a-f]{64}$/)
  expect(hashOf(plaintext)).toBe(hash)
  expect(hintOf(hash)).toBe(`tok_${hash.slice(0, 8)}`)
  expect(newToken().plaintext).not.toBe(plaintext)
})
