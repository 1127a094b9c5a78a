import { describe, expect, test } from 'vitest'
import { isRepeatable, plainPath, ROUTES, routeOf, surfaceOf } from './routes.ts'

describe('a path goes to', () => {
  test.each([
    ['/library/api/ingest/', 'ingest', 'json'],
    ['/library/api/ingest', 'ingest', 'json'],
    ['/library/api/jobs/', 'ingest', 'json'],
    ['/library/api/jobs/1/events/', 'ingest', 'json'],
    ['/library/api/items/upload/', 'ingest', 'upload'],
    ['/library/api/items/upload', 'ingest', 'upload'],
    ['/library/api/items/uploads/', 'library', 'json'],
    ['/library/api/items/1/', 'library', 'json'],
    ['/library/api/search/', 'search', 'json'],
    ['/library/api/searches/', 'library', 'json'],
    ['/library/api/workspaces/a%20b/', 'library', 'json'],
    ['/library/api', 'library', 'json'],
    ['/profile/api/me/', 'auth', 'json'],
    ['/admin/api/users/', 'auth', 'json'],
    ['/mcp_server/api/teams/', 'auth', 'json'],
    ['/mcp', 'mcp', 'mcp'],
    ['/mcp/', 'mcp', 'mcp'],
    ['/mcp/sse', 'mcp', 'mcp'],
  ])('%s → %s', (path, target, body) => {
    expect(routeOf(path)).toMatchObject({ target, body })
  })

  test.each([
    '/',
    '/library',
    '/library/apis',
    '/mcpx',
    '/Library/api/',
    '/internal/auth/resolve/',
    '/INTERNAL/',
  ])('%s → nowhere', (path) => expect(routeOf(path)).toBeUndefined())

  test('nothing internal', () => {
    expect(ROUTES.filter(({ prefix }) => prefix.toLowerCase().includes('internal'))).toEqual([])
  })
})

describe('a path that two readers may read differently is none', () => {
  test.each([
    '//internal/auth/resolve/',
    '/library/api//internal/',
    '/library/api/%2e%2e%2finternal/',
    '/library/api/..%2f..%2finternal/auth/resolve/',
    '/library/api/..%5c..%5cinternal/',
    '/library/api/%5C..%5Cinternal',
    '/library/api/a%00b',
    '/library/api/%zz/',
    '/library/api/%c0%ae%c0%ae/',
  ])('%s', (path) => expect(plainPath(new URL(`http://h${path}`))).toBeUndefined())

  test.each([
    ['/library/api/../../internal/auth/resolve/', '/internal/auth/resolve/'],
    ['/library/api/%2e%2e/%2E%2e/internal/', '/internal/'],
    ['/library/api\\..\\..\\internal\\', '/internal/'],
    ['/library/api/%252e%252e%252finternal/', '/library/api/%252e%252e%252finternal/'],
  ])('%s is read as %s', (path, plain) => {
    expect(plainPath(new URL(`http://h${path}`))).toBe(plain)
    expect(routeOf(plain)?.target).toBe(plain.startsWith('/internal') ? undefined : 'library')
  })
})

test.each([
  ['/mcp', 'mcp'],
  ['/mcp/', 'mcp'],
  ['/mcp/sse', 'mcp'],
  ['/mcp_server/api/teams/', 'rest'],
  [undefined, 'rest'],
])('the surface of %s is %s', (path, surface) => expect(surfaceOf(path)).toBe(surface))

describe('a request that broke off may reach its service once more', () => {
  test.each([
    ['POST', '/library/api/ingest/', true],
    ['POST', '/mcp_server/api/teams/', true],
    ['PUT', '/mcp_server/api/teams/1/workspaces/', true],
    ['POST', '/mcp_server/api/teams/1/rotate/', false],
    ['POST', '/mcp_server/api/teams/1/rotate', false],
    ['GET', '/profile/api/tokens/', true],
    ['POST', '/profile/api/tokens/', false],
    ['POST', '/profile/api/tokens', false],
    ['POST', '/profile/api/tokens/1/revoke/', true],
    ['POST', '/profile/api/password/', false],
    ['POST', '/accounts/api/login/', false],
    ['POST', '/admin/api/users/', false],
    ['POST', '/admin/api/users/1/logout-everywhere/', true],
  ])('%s %s: %s', (method, path, repeatable) => {
    expect(isRepeatable({ method, url: `http://auth${path}` })).toBe(repeatable)
  })
})
