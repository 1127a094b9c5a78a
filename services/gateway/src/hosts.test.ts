import { expect, test } from 'vitest'
import { hostAllowed } from './hosts.ts'

test.each([
  ['anything', undefined, true],
  ['anything:80', ['*'], true],
  ['example.org', ['example.org'], true],
  ['EXAMPLE.org:8443', ['example.org'], true],
  ['example.org.', ['example.org'], true],
  ['evil-example.org', ['example.org'], false],
  ['a.example.org', ['example.org'], false],
  ['a.example.org', ['.example.org'], true],
  ['example.org', ['.example.org'], true],
  ['badexample.org', ['.example.org'], false],
  ['[::1]:23181', ['[::1]'], true],
  ['', ['example.org'], false],
])('%s among %j: %s', (host, allowed, expected) => expect(hostAllowed(host, allowed)).toBe(expected))
