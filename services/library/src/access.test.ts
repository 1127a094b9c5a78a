import type { Principal, StaffLevel } from '@mnemosyne/contracts'
import { describe, expect, test } from 'vitest'
import { assertMayCurate, assertMayOwn, mayIngest } from './access.ts'

const own = { uid: 'l1', owner_username: 'ada' }
const everybodys = { uid: 'l1', owner_username: null }

function principal(username: string, rights: Partial<Principal> & { staff?: StaffLevel } = {}): Principal {
  const { staff = 'none', ...rest } = rights
  return {
    kind: 'user_token',
    surface: 'rest',
    user: { id: username, username, staff },
    team_id: null,
    token_id: null,
    resolved_libraries: [],
    writable_libraries: [],
    session_id: null,
    address: null,
    owned_libraries: [],
    allowed_tools: [],
    ...rest,
  }
}

const owner = principal('ada')
const coOwner = principal('uma', {
  resolved_libraries: ['l1'],
  writable_libraries: ['l1'],
  owned_libraries: ['l1'],
})
const manager = principal('bob', { resolved_libraries: ['l1'], writable_libraries: ['l1'] })
const reader = principal('eve', { resolved_libraries: ['l1'] })
const stranger = principal('mal')
const staff = principal('root', { staff: 'delete' })
const lesserStaff = principal('sam', { staff: 'change' })
const overMcp = principal('ada', { surface: 'mcp', resolved_libraries: ['l1'] })

function outcome(work: () => unknown): string {
  try {
    return String(work() ?? 'yes')
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('who may do what with a library', () => {
  test.each([
    // who, library, ingest into it, change what is in it, delete what is in it, delete it
    ['its principal owner', owner, own, 'true', 'yes', 'yes', 'yes'],
    ['another owner', coOwner, own, 'true', 'yes', 'yes', 'yes'],
    ['a manager', manager, own, 'true', 'yes', 'yes', 'NOT_ALLOWED'],
    ['a reader', reader, own, 'false', 'NOT_ALLOWED', 'NOT_ALLOWED', 'NOT_ALLOWED'],
    ['a stranger', stranger, own, 'false', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND'],
    ['staff who are no members', staff, own, 'false', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND'],
    ['its owner over MCP', overMcp, own, 'NOT_ALLOWED', 'NOT_ALLOWED', 'NOT_ALLOWED', 'NOT_ALLOWED'],
    ['anybody: a global one', stranger, everybodys, 'true', 'NOT_ALLOWED', 'NOT_ALLOWED', 'NOT_ALLOWED'],
    [
      'staff who may not delete: a global one',
      lesserStaff,
      everybodys,
      'true',
      'yes',
      'NOT_ALLOWED',
      'NOT_ALLOWED',
    ],
    ['staff: a global one', staff, everybodys, 'true', 'yes', 'yes', 'yes'],
  ] as const)('%s', (_, who, library, ingest, curate, clear, remove) => {
    expect([
      outcome(() => mayIngest(who, library)),
      outcome(() => assertMayCurate(who, library, 'change')),
      outcome(() => assertMayCurate(who, library, 'delete')),
      outcome(() => assertMayOwn(who, library, 'delete')),
    ]).toEqual([ingest, curate, clear, remove])
  })
})
