import type { Group } from '@mnemosyne/contracts'
import { expect, test } from 'vitest'
import { isPrivileged, NO_STANDING, type Standing, standingAfter } from './standing.ts'

const standing = (is_staff: boolean, is_superuser: boolean, ...groups: Group[]): Standing => ({
  is_staff,
  is_superuser,
  groups,
})
const SUPERUSER = standing(true, true)
const STAFF = standing(true, false)

test.each<[string, Standing, Partial<Standing>, Standing]>([
  ['nothing asked', NO_STANDING, {}, NO_STANDING],
  ['staff by a group', NO_STANDING, { groups: ['SME'] }, standing(true, false, 'SME')],
  ['no staff by View Only', NO_STANDING, { groups: ['View Only'] }, standing(false, false, 'View Only')],
  [
    'groups in their order, each once',
    NO_STANDING,
    { groups: ['Admin', 'View Only', 'Admin'] },
    standing(true, false, 'View Only', 'Admin'),
  ],
  [
    'what follows may be said',
    NO_STANDING,
    { groups: ['Staff'], is_staff: true },
    standing(true, false, 'Staff'),
  ],
  ['staff without a group', NO_STANDING, { is_staff: true }, STAFF],
  ['staff stay so', STAFF, {}, STAFF],
  ['staff no more', STAFF, { is_staff: false }, NO_STANDING],
  ['no staff with the last group', standing(true, false, 'Staff'), { groups: [] }, NO_STANDING],
  ['staff still, without a group', standing(true, false, 'Staff'), { groups: [], is_staff: true }, STAFF],
  [
    'a lesser group',
    standing(true, false, 'Admin'),
    { groups: ['View Only'] },
    standing(false, false, 'View Only'),
  ],
  ['a superuser is staff', NO_STANDING, { is_superuser: true }, SUPERUSER],
  ['a superuser in a group', SUPERUSER, { groups: ['View Only'] }, standing(true, true, 'View Only')],
  ['a demoted superuser is nothing', SUPERUSER, { is_superuser: false }, NO_STANDING],
  ['unless it is said', SUPERUSER, { is_superuser: false, is_staff: true }, STAFF],
  [
    'or a group says it',
    standing(true, true, 'Staff'),
    { is_superuser: false },
    standing(true, false, 'Staff'),
  ],
])('%s', (_, before, wanted, after) => expect(standingAfter(before, wanted)).toEqual(after))

test.each<[string, Standing, Partial<Standing>]>([
  ['a superuser who is no staff', NO_STANDING, { is_superuser: true, is_staff: false }],
  ['no staff in a group of staff', NO_STANDING, { groups: ['Admin'], is_staff: false }],
  ['staff by View Only', NO_STANDING, { groups: ['View Only'], is_staff: true }],
  ['staff against their group', standing(false, false, 'View Only'), { is_staff: true }],
])('there is not %s', (_, before, wanted) => {
  expect(() => standingAfter(before, wanted)).toThrow(expect.objectContaining({ field: 'is_staff' }))
})

test.each<[Standing, boolean]>([
  [NO_STANDING, false],
  [STAFF, true],
  [SUPERUSER, true],
  [standing(false, false, 'View Only'), true],
])('%j is privileged: %s', (of, privileged) => expect(isPrivileged(of)).toBe(privileged))
