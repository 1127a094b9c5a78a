import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVerifier, type Listener, listen, PEER_HEADER, publicKeys } from '@mnemosyne/platform'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClientAddress, isAddressOrNetwork } from '../src/client-address.ts'
import { gatewayConfig } from '../src/index.ts'
import { openWorld, type World } from './harness.ts'

const NGINX = '172.30.231.5'
const TERMINATOR = '10.0.0.9'

describe('behind trusted proxies the client is who stands last in X-Forwarded-For and is none of them', () => {
  const addressOf = createClientAddress(['172.30.231.0/24', TERMINATOR, 'fd00::/8', '::1'])
  test.each<[what: string, peer: string | null, forwarded: string | null, client: string | null]>([
    ['nobody between', '203.0.113.7', null, '203.0.113.7'],
    ['one proxy', NGINX, '203.0.113.7', '203.0.113.7'],
    ['two proxies', NGINX, `203.0.113.7, ${TERMINATOR}`, '203.0.113.7'],
    ['a claim before the truth', NGINX, `198.51.100.1, 203.0.113.7, ${TERMINATOR}`, '203.0.113.7'],
    ['a claim to be a proxy', NGINX, `198.51.100.1, ${NGINX}, 203.0.113.7`, '203.0.113.7'],
    ['a claim of a stranger', '203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['a claim of a neighbour who is no proxy', '172.30.232.5', '198.51.100.1', '172.30.232.5'],
    ['a proxy that says nothing', NGINX, null, NGINX],
    ['a proxy that says nothing intelligible', NGINX, 'unknown', NGINX],
    ['something unintelligible on the way', NGINX, `198.51.100.1, _hidden, ${TERMINATOR}`, TERMINATOR],
    ['an empty place', NGINX, '198.51.100.1,,', NGINX],
    ['proxies only', NGINX, TERMINATOR, TERMINATOR],
    ['a port', NGINX, '203.0.113.7:4711', '203.0.113.7'],
    ['IPv6', NGINX, '2001:DB8:0:0::7', '2001:db8::7'],
    ['IPv6 with a port', NGINX, '[2001:db8::7]:4711', '2001:db8::7'],
    ['IPv4 written as IPv6', `::ffff:${NGINX}`, '::ffff:203.0.113.7', '203.0.113.7'],
    ['a proxy by IPv6', 'fd12::1', '2001:db8::7', '2001:db8::7'],
    ['a peer that is none', 'unix', '203.0.113.7', null],
    ['no peer', null, '203.0.113.7', null],
  ])('%s', (_, peer, forwarded, client) => {
    const headers = new Headers()
    if (peer !== null) headers.set(PEER_HEADER, peer)
    if (forwarded !== null) headers.set('x-forwarded-for', forwarded)
    expect(addressOf(headers)).toBe(client)
  })
})

test('without trusted proxies nobody’s word counts', () => {
  const headers = new Headers({ [PEER_HEADER]: '127.0.0.1', 'x-forwarded-for': '203.0.113.7' })
  expect(createClientAddress([])(headers)).toBe('127.0.0.1')
})

test.each([
  ['10.0.0.0/8, ::1 ,fd00::/8,192.0.2.1', ['10.0.0.0/8', '::1', 'fd00::/8', '192.0.2.1']],
  ['', []],
])('TRUSTED_PROXIES=%s', (text, list) => {
  expect(gatewayConfig.parse({ TRUSTED_PROXIES: text }).TRUSTED_PROXIES).toEqual(list)
})

test.each([
  'nginx',
  '10.0.0.0/33',
  '::/129',
  '10.0.0.0/',
  '10.0.0.0/8/8',
  '*',
  '10.0.0',
  '/8',
  '10.0.0.0/-1',
])('%s is neither address nor network', (text) => {
  expect(isAddressOrNetwork(text)).toBe(false)
  expect(gatewayConfig.safeParse({ TRUSTED_PROXIES: text }).success).toBe(false)
})

describe('over a socket', () => {
  const open: Listener[] = []
  afterAll(async () => {
    for (const listener of open) await listener.close(0)
  })
  let plain: { world: World; url: string }
  let proxied: { world: World; url: string }
  beforeAll(async () => {
    const start = async (env: Record<string, string>) => {
      const world = await openWorld({ env })
      const listener = await listen(world.gateway.fetch, { host: '127.0.0.1', port: 0 })
      open.push(listener)
      return { world, url: listener.url }
    }
    plain = await start({})
    proxied = await start({ TRUSTED_PROXIES: '127.0.0.0/8' })
  })

  /** What auth was told of the client. */
  async function told(
    { world, url }: typeof plain,
    headers: Record<string, string>,
    path = '/accounts/api/login/',
  ) {
    world.seen.length = 0
    await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: '{}',
    })
    const [seen] = world.seen
    const verify = await createVerifier('auth', publicKeys(world.keys))
    const { address } = await verify(seen!.headers.get('x-mnemosyne-principal'))
    return { address, names: [...seen!.headers.keys()] }
  }

  test('auth is told the address of who is connected', async () => {
    expect(await told(plain, {})).toMatchObject({ address: '127.0.0.1' })
  })

  test('whatever the client writes', async () => {
    const forged = { 'x-mnemosyne-peer': '198.51.100.1', 'X-Mnemosyne-Peer': '198.51.100.1' }
    expect((await told(plain, { ...forged, 'x-forwarded-for': '198.51.100.1' })).address).toBe('127.0.0.1')
    expect((await told(proxied, forged)).address).toBe('127.0.0.1')
  })

  test('or whom a trusted proxy names', async () => {
    expect((await told(proxied, { 'x-forwarded-for': '198.51.100.1, 203.0.113.7' })).address).toBe(
      '203.0.113.7',
    )
  })

  test('no internal header goes on', async () => {
    const { names } = await told(plain, { 'x-mnemosyne-anything': 'x' })
    expect(names.filter((name) => name.startsWith('x-mnemosyne-'))).toEqual([
      'x-mnemosyne-delegation',
      'x-mnemosyne-principal',
    ])
  })

  test('on a socket file there is none, whatever the client writes', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'mnemosyne-socket-'))
    const world = await openWorld({ env: { TRUSTED_PROXIES: '127.0.0.0/8' } })
    const socketPath = join(dir, 's')
    open.push(await listen(world.gateway.fetch, { path: socketPath }))
    const headers = { 'x-mnemosyne-peer': '127.0.0.1', 'x-forwarded-for': '198.51.100.1' }
    const asked = request({ socketPath, path: '/accounts/api/login/', method: 'POST', headers }).end('{}')
    await once(asked, 'response')
    const verify = await createVerifier('auth', publicKeys(world.keys))
    const seen = world.seen[0]!.headers.get('x-mnemosyne-principal')
    expect((await verify(seen)).address).toBeNull()
    await rm(dir, { recursive: true })
  })

  test('also where a password is changed; and nowhere else', async () => {
    const alice = { authorization: 'Bearer alice' }
    expect((await told(plain, alice, '/profile/api/password/')).address).toBe('127.0.0.1')
    expect((await told(plain, alice, '/profile/api/password')).address).toBe('127.0.0.1')
    expect((await told(plain, alice, '/profile/api/tokens/')).address).toBeNull()
  })
})
