import { expect, test } from 'vitest'
import { checkUsername, usernameKey } from './username.ts'

test.each(['alice', 'Alice', 'alice@example.org', 'a.b+c-d_e', '9', 'Ünïcode', '李', 'x'.repeat(150), '.a'])(
  '%j is a user name',
  (name) => expect(() => checkUsername(name)).not.toThrow(),
)

test.each([
  '',
  ' ',
  'a b',
  'a/b',
  'a\0',
  'x'.repeat(151),
  '.',
  '..',
  '...',
  'a\u200bb',
  'e\u0301',
  'a\u202eb',
])('%j is none', (name) =>
  expect(() => checkUsername(name)).toThrow(expect.objectContaining({ field: 'username' })),
)

test.each([
  ['alice', 'ALICE'],
  ['ünal', 'ÜNAL'],
  ['alice', 'ａｌｉｃｅ'],
  ['fix', 'ﬁx'],
  ['σοφία', 'ΣΟΦΊΑ'],
])('%s and %s pass for one another', (one, other) => expect(usernameKey(one)).toBe(usernameKey(other)))

test.each([
  ['alice', 'alicia'],
  ['a.b', 'ab'],
  ['a', 'ä'],
])('%s and %s do not', (one, other) => expect(usernameKey(one)).not.toBe(usernameKey(other)))
