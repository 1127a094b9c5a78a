import { SERVICE_NAMES, servicePrincipal } from '@mnemosyne/contracts'
import { describe, expect, test } from 'vitest'
import {
  AssertionError,
  createSigner,
  createVerifier,
  generateAssertionKeys,
  parseAssertionKeys,
  publicKeys,
  rotationOf,
} from './assertion.ts'
import { badAssertions } from './testing/bad-assertions.ts'

const keys = await generateAssertionKeys('k1')
const other = await generateAssertionKeys('k0')

test.each(SERVICE_NAMES)('%s believes the gateway and mcp, again and again', async (audience) => {
  const verify = await createVerifier(audience, publicKeys(keys))
  for (const issuer of ['gateway', 'mcp'] as const) {
    const assertion = await (await createSigner(issuer, keys))(servicePrincipal('mcp'), audience)
    for (const _ of [1, 2]) expect(await verify(assertion)).toEqual(servicePrincipal('mcp'))
  }
})

const bad = await badAssertions(keys, 'search')

test.each([...bad.keys()])('an assertion %s is refused, also after a good one', async (name) => {
  const verify = await createVerifier('search', {
    keys: [...publicKeys(other).keys, ...publicKeys(keys).keys],
  })
  await verify(await (await createSigner('gateway', keys))(servicePrincipal('rest'), 'search'))
  for (const _ of [1, 2]) await expect(verify(bad.get(name)!)).rejects.toThrow(AssertionError)
})

describe('a rotation', () => {
  const next = { current: keys, coming: other }
  const rounds = rotationOf(next.current, next.coming)
  const before = { sign: keys, verify: publicKeys(keys) }

  test('is believed by everybody while processes of two rounds serve side by side', async () => {
    const all = [before, ...rounds]
    for (const [index, { sign }] of all.entries()) {
      const assertion = await (await createSigner('gateway', sign))(servicePrincipal('rest'), 'auth')
      for (const beside of all.slice(Math.max(0, index - 1), index + 2)) {
        for (const known of [beside.verify, publicKeys(beside.sign)]) {
          await expect((await createVerifier('auth', known))(assertion)).resolves.toBeTruthy()
        }
      }
    }
  })

  test('ends with the old key worth nothing, and hands no private key to those who verify', async () => {
    const last = rounds.at(-1)!
    const assertion = await (await createSigner('gateway', keys))(servicePrincipal('rest'), 'auth')
    for (const known of [last.verify, publicKeys(last.sign)]) {
      await expect((await createVerifier('auth', known))(assertion)).rejects.toThrow(AssertionError)
    }
    expect(JSON.stringify(rounds.map(({ verify }) => verify))).not.toContain('"d"')
    expect(rounds.map(({ sign }) => sign.keys.filter(({ d }) => d).map(({ kid }) => kid))).toEqual([
      ['k1'],
      ['k0'],
      ['k0'],
    ])
  })
})

test.each([
  ['two keys of one name', { keys: [keys.keys[0], { ...other.keys[0], kid: 'k1' }] }],
  ['no key', { keys: [] }],
  ['a key of another kind', { keys: [{ ...keys.keys[0], crv: 'X25519' }] }],
])('a set with %s is refused, without a word of what it holds', (_, set) => {
  const { d } = keys.keys[0]!
  expect(() => parseAssertionKeys(JSON.stringify(set))).toThrow(/ASSERTION_KEYS/)
  expect(() => parseAssertionKeys(JSON.stringify(set))).not.toThrow(d)
})
