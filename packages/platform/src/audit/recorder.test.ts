import { randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import {
  type AuditRecord,
  authInternalContract,
  createClient,
  type FetchHandler,
  type Principal,
} from '@mnemosyne/contracts'
import { implement } from '@orpc/server'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createSigner, createVerifier, generateAssertionKeys } from '../assertion.ts'
import { systemClock } from '../clock.ts'
import { createLog } from '../log.ts'
import { type RequestContext, serviceApp } from '../service.ts'
import { Metrics } from '../telemetry.ts'
import type { Actor, Audited } from './record.ts'
import { type AuditRecorder, type AuditRecorderOptions, startAuditRecorder } from './recorder.ts'

const ADA: Actor = { actor: 'ada-id', username: 'ada', team_id: null, token_id: 't1', request_id: 'r1' }
const TOOL: Audited = { action: 'mcp.search', target: 'search', detail: { libraries: 2 } }
const REFUSAL: Audited = { action: 'request.refused', target: 'GET /x', outcome: 'refused' }

/** What auth was handed, batch by batch; and how it answers. */
let batches: AuditRecord[][]
let answer: 'well' | 'away' | 'never' | ((records: AuditRecord[]) => Response | undefined)
let callers: Principal[]
let lines: string[]
let registry: Registry
let start: (options?: Partial<AuditRecorderOptions>) => AuditRecorder

beforeEach(async () => {
  batches = []
  callers = []
  lines = []
  answer = 'well'
  registry = new Registry()
  const keys = await generateAssertionKeys('k1')
  const log = createLog({
    component: 'test',
    level: 'debug',
    destination: new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }),
  })
  const os = implement({ recordAudit: authInternalContract.recordAudit }).$context<RequestContext>()
  const auth = serviceApp({
    name: 'auth',
    log: createLog({ component: 'auth', level: 'silent' }),
    metrics: new Metrics(new Registry(), 'auth'),
    readiness: async () => ({ status: 'ready', checks: {} }),
    verify: await createVerifier('auth', keys),
    router: os.router({
      recordAudit: os.recordAudit.handler(({ input, context }) => {
        callers.push(context.principal)
        batches.push(input.records)
      }),
    }),
  })
  const fetch: FetchHandler = async (request) => {
    if (answer === 'never') return new Promise(() => {})
    if (answer === 'away') return Response.json({ detail: 'starting' }, { status: 503 })
    const { records } = (await request.clone().json()) as { records: AuditRecord[] }
    return (answer !== 'well' && answer(records)) || auth(request)
  }
  const sign = await createSigner('gateway', keys)
  const client = createClient(authInternalContract, { fetch, audience: 'auth' })
  const metrics = new Metrics(registry, 'test')
  start = (options = {}) =>
    startAuditRecorder({
      ...{ auth: client, sign, clock: systemClock, ids: randomUUID, log, metrics },
      ...{ flushMs: 10, ...options },
    })
})

let recorder: AuditRecorder | undefined
afterEach(() => recorder?.stop())

const received = () => batches.flat()
const metric = async (name: string) =>
  (await registry.getMetricsAsJSON())
    .filter((each) => each.name === name)
    .flatMap(({ values }) => values.map(({ value }) => value))
    .reduce((sum, value) => sum + value, 0)

test('hands records over by itself, as a service', async () => {
  recorder = start()
  recorder.record(ADA, TOOL)
  await vi.waitFor(() => expect(received()).toHaveLength(1))
  expect(received()[0]).toEqual({
    ...ADA,
    ...TOOL,
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    outcome: 'done',
    count: 1,
    created_at: expect.stringMatching(/^\d{4}-.*Z$/),
  })
  expect(callers[0]?.kind).toBe('service')
  expect(await metric('mnemosyne_audit_sent_total')).toBe(1)
})

test('a row for each, but one for those that are alike', async () => {
  recorder = start()
  for (let n = 0; n < 3; n++) recorder.record(ADA, TOOL)
  for (let n = 0; n < 500; n++) recorder.recordAlike(ADA, REFUSAL, REFUSAL)
  await vi.waitFor(() => expect(received()).toHaveLength(4))
  expect(received().map(({ action, count }) => [action, count])).toContainEqual(['request.refused', 500])
})

test('goes out in batches that auth takes', async () => {
  recorder = start()
  for (let n = 0; n < 450; n++) recorder.record(ADA, TOOL)
  await vi.waitFor(() => expect(received()).toHaveLength(450))
  expect(batches.map(({ length }) => length)).toEqual([200, 200, 50])
})

test('what comes while auth is away waits for it, says so once, and arrives once', async () => {
  answer = 'away'
  recorder = start()
  recorder.record(ADA, TOOL)
  await vi.waitFor(() => expect(lines.join()).toContain('wait'))
  recorder.record(ADA, { ...TOOL, target: 'second' })
  answer = 'well'
  await vi.waitFor(() => expect(received()).toHaveLength(2), { timeout: 10_000 })
  expect(received().map(({ target }) => target)).toEqual(['search', 'second'])
  expect(lines.filter((line) => line.includes('records for the audit log wait'))).toHaveLength(1)
  expect(lines.join()).toContain('the audit log is written again')
})

test('a batch whose answer got lost is handed over again with the same ids', async () => {
  let lost = 0
  answer = (records) => {
    if (lost++ > 0) return undefined
    batches.push(records)
    return new Response(null, { status: 502 })
  }
  recorder = start()
  recorder.record(ADA, TOOL)
  await vi.waitFor(() => expect(batches).toHaveLength(2), { timeout: 10_000 })
  expect(batches[0]![0]!.id).toBe(batches[1]![0]!.id)
})

test('while auth is away memory is bounded; what is dropped is counted and told of once', async () => {
  answer = 'away'
  recorder = start({ mostWaiting: 5 })
  for (let n = 0; n < 12; n++) recorder.record(ADA, { ...TOOL, target: String(n) })
  expect(await metric('mnemosyne_audit_dropped_total')).toBe(7)
  expect(lines.filter((line) => line.includes('are dropped'))).toHaveLength(1)
  answer = 'well'
  await vi.waitFor(() => expect(received().map(({ target }) => target)).toEqual(['0', '1', '2', '3', '4']))
})

test('a record that auth refuses holds up no other', async () => {
  answer = (records) =>
    records.some(({ target }) => target === 'bad')
      ? Response.json({ records: ['Invalid.'] }, { status: 400 })
      : undefined
  recorder = start()
  for (const target of ['a', 'bad', 'b']) recorder.record(ADA, { ...TOOL, target })
  await vi.waitFor(() => expect(received().map(({ target }) => target)).toEqual(['a', 'b']))
  expect(await metric('mnemosyne_audit_dropped_total')).toBe(1)
})

test('at the end all of it goes out, what waits for the end of its minute as well', async () => {
  recorder = start()
  recorder.recordAlike(ADA, REFUSAL, REFUSAL)
  await vi.waitFor(() => expect(received()).toHaveLength(1))
  recorder.recordAlike(ADA, REFUSAL, REFUSAL)
  recorder.record(ADA, TOOL)
  await recorder.stop()
  expect(received()).toHaveLength(3)
  recorder.record(ADA, TOOL)
  recorder.recordAlike(ADA, REFUSAL, REFUSAL)
  expect(await metric('mnemosyne_audit_dropped_total')).toBe(2)
})

test.each(['away', 'never'] as const)('the end does not wait long for an auth that is %s', async (how) => {
  answer = how
  recorder = start()
  recorder.record(ADA, TOOL)
  const began = performance.now()
  await recorder.stop()
  expect(performance.now() - began).toBeLessThan(5_000)
  expect(await metric('mnemosyne_audit_dropped_total')).toBe(1)
})

test('telling returns at once and throws nothing, whatever auth does', async () => {
  answer = 'never'
  recorder = start()
  const began = performance.now()
  for (let n = 0; n < 20_000; n++) recorder.recordAlike(ADA, { ...REFUSAL, target: `GET /${n}` }, REFUSAL)
  expect(performance.now() - began).toBeLessThan(2_000)
})
