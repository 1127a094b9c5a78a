import type { AuditRecord } from '@mnemosyne/contracts'
import { expect, test } from 'vitest'
import { Folding } from './folding.ts'
import { type Actor, type Audited, actorOf, auditRecord, withoutSecret } from './record.ts'

const ANONYMOUS: Actor = { actor: 'anonymous', username: null, team_id: null, token_id: null, request_id: '' }
const MINUTE = 60_000
let made = 0

const refusal = (address: string): Audited => ({
  action: 'credential.refused',
  target: 'rest',
  outcome: 'refused',
  detail: { reason: 'unknown_token', address },
})
const COARSE: Audited = {
  action: 'credential.refused',
  target: 'rest',
  outcome: 'refused',
  detail: { reason: 'unknown_token' },
}
const record = (what: Audited, by: Partial<Actor> = {}): AuditRecord =>
  auditRecord({ ...ANONYMOUS, ...by }, what, { clock: () => new Date(0), ids: () => `id-${made++}` })
const shown = (records: AuditRecord[]) =>
  records.map(({ actor, detail, count, request_id }) => [actor, detail.address ?? '*', count, request_id])

test('the first of a kind is handed out at once, the rest of its minute as one', () => {
  const folding = new Folding()
  folding.add(record(refusal('a'), { request_id: 'r1' }), COARSE)
  expect(shown(folding.take(0))).toEqual([['anonymous', 'a', 1, 'r1']])
  for (const request_id of ['r2', 'r3', 'r4']) folding.add(record(refusal('a'), { request_id }), COARSE)
  folding.add(record(refusal('b'), { request_id: 'r5' }), COARSE)
  expect(shown(folding.take(1_000))).toEqual([['anonymous', 'b', 1, 'r5']])
  expect(folding.take(MINUTE - 1)).toEqual([])
  expect(shown(folding.take(MINUTE))).toEqual([['anonymous', 'a', 3, 'r2']])
  expect(folding.take(10 * MINUTE)).toEqual([])
})

test('what comes before the first look is one', () => {
  const folding = new Folding()
  for (let n = 0; n < 100; n++) folding.add(record(refusal('a')), COARSE)
  expect(shown(folding.take(0))).toEqual([['anonymous', 'a', 100, '']])
})

test('what is waited for is handed out at the end', () => {
  const folding = new Folding()
  folding.add(record(refusal('a')), COARSE)
  folding.take(0)
  folding.add(record(refusal('a')), COARSE)
  expect(shown(folding.take(1, { all: true }))).toEqual([['anonymous', 'a', 1, '']])
  expect(folding.take(1, { all: true })).toEqual([])
})

test.each<[string, Partial<AuditRecord>]>([
  ['another actor', { actor: 'someone' }],
  ['another token', { token_id: 't2' }],
  ['another action', { action: 'request.refused' }],
  ['another target', { target: 'mcp' }],
  ['another outcome', { outcome: 'done' }],
  ['another reason', { detail: { reason: 'expired', address: 'a' } }],
])('%s is another kind', (_, difference) => {
  const folding = new Folding()
  folding.add(record(refusal('a')), COARSE)
  folding.add({ ...record(refusal('a')), ...difference }, COARSE)
  expect(folding.take(0)).toHaveLength(2)
})

test('a flood from ever new addresses costs a bounded number of rows, and none is forgotten', () => {
  const folding = new Folding()
  const rows: AuditRecord[] = []
  for (let n = 0; n < 100_000; n++) {
    expect(folding.add(record(refusal(`10.0.${n >> 8}.${n & 255}`)), COARSE)).toBe(true)
    if (n % 1_000 === 0) rows.push(...folding.take(n))
  }
  rows.push(...folding.take(100_000, { all: true }))
  expect(rows.length).toBeLessThan(70)
  expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(100_000)
  expect(rows.at(-1)?.detail).toEqual({ reason: 'unknown_token' })
})

test('an actor who brings too many kinds crowds out nobody else', () => {
  const folding = new Folding()
  for (let n = 0; n < 1_000; n++) folding.add(record(refusal(String(n)), { actor: 'mallory' }), COARSE)
  folding.add(record(refusal('a'), { actor: 'ada' }), COARSE)
  const rows = shown(folding.take(0))
  expect(rows).toContainEqual(['ada', 'a', 1, ''])
  expect(rows).toContainEqual(['mallory', '*', 800, ''])
  expect(rows).toHaveLength(202)
})

test('kinds that have gone quiet make room again', () => {
  const folding = new Folding()
  for (let n = 0; n < 20; n++) folding.add(record(refusal(`old ${n}`)), COARSE)
  folding.take(0)
  folding.take(MINUTE)
  folding.add(record(refusal('new')), COARSE)
  expect(shown(folding.take(MINUTE))).toEqual([['anonymous', 'new', 1, '']])
})

test('memory is bounded, whoever comes', () => {
  const folding = new Folding()
  let kept = 0
  for (let n = 0; n < 10_000; n++)
    if (folding.add(record(refusal('a'), { actor: `user ${n}` }), COARSE)) kept++
  expect(kept).toBe(5_000)
})

test('the acting user of a team is its owner', () => {
  const principal = {
    kind: 'team' as const,
    surface: 'mcp' as const,
    user: { id: 'u1', username: 'ada', staff: 'none' as const },
    team_id: 't1',
    token_id: null,
    session_id: null,
    address: null,
    resolved_libraries: [],
    writable_libraries: [],
    owned_libraries: [],
    allowed_tools: [],
  }
  const acting = { team_id: 't1', token_id: null, request_id: 'r' }
  expect(actorOf({ principal, requestId: 'r' })).toEqual({ actor: 'u1', username: 'ada', ...acting })
  expect(actorOf({ principal: { ...principal, user: null, kind: 'anonymous' }, requestId: 'r' })).toEqual({
    actor: 'anonymous',
    username: null,
    ...acting,
  })
})

test.each([
  ['ws-17', 'ws-17'],
  ['ada.lovelace@example.org', 'ada.lovelace@example.org'],
  ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a'],
  ['mnem_abc', '*'],
  ['eyJhbGciOi', '*'],
  ['x'.repeat(33), '*'],
])('%s stands in a record as %s', (text, shown) => expect(withoutSecret(text)).toBe(shown))
