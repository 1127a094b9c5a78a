import { describe, expect, test } from 'vitest'
import { type Membership, mcpScope, restScope } from './scope.ts'

const owned: Membership = { library_uid: 'b-owned', role: 'owner' }
const managed: Membership = { library_uid: 'a-managed', role: 'manager' }
const read: Membership = { library_uid: 'c-read', role: 'reader' }

describe('on REST a user reads and writes', () => {
  test.each([
    ['nothing', [], [], [], []],
    [
      'what is theirs in part',
      [owned, managed, read],
      [],
      ['a-managed', 'b-owned', 'c-read'],
      ['a-managed', 'b-owned'],
    ],
    ['global libraries', [], ['g'], ['g'], ['g']],
    [
      'each library once',
      [owned, { ...owned, role: 'reader' } as const],
      ['b-owned'],
      ['b-owned'],
      ['b-owned'],
    ],
  ])('%s', (_, memberships, global, resolved, writable) => {
    expect(restScope(memberships, global)).toEqual({
      resolved_libraries: resolved,
      writable_libraries: writable,
      owned_libraries: memberships.some(({ role }) => role === 'owner') ? ['b-owned'] : [],
    })
  })
})

describe('on MCP a token sees', () => {
  test.each([
    ['nothing when it allows nothing', [], [owned], ['g'], []],
    [
      'what it allows, in its order',
      ['c-read', 'b-owned'],
      [owned, managed, read],
      [],
      ['c-read', 'b-owned'],
    ],
    ['nothing of another', ['x', 'b-owned'], [owned], [], ['b-owned']],
    ['a global library that it allows', ['g'], [], ['g', 'h'], ['g']],
    ['everything by *', ['*'], [owned, read], ['g'], ['b-owned', 'c-read', 'g']],
    ['nothing by * when there is nothing', ['*'], [], [], []],
    ['each library once', ['b-owned', 'b-owned'], [owned], [], ['b-owned']],
  ])('%s', (_, allowed, memberships, global, resolved) => {
    expect(mcpScope(allowed, memberships, global)).toEqual({
      resolved_libraries: resolved,
      writable_libraries: [],
      owned_libraries: [],
    })
  })
})
