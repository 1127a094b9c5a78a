import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { findBreaches } from '../scripts/boundaries/boundaries.ts'

let root = ''
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** A small repository in which one service imports as `planted` says. */
function plant(file: string, planted: string): void {
  root = mkdtempSync(join(tmpdir(), 'boundaries-'))
  const files = {
    'packages/contracts/src/index.ts': 'export const a = 1',
    'packages/graph/src/index.ts': 'export const g = 1',
    'packages/graph/src/testing/index.ts': 'export const t = 1',
    'services/library/src/index.ts': "import { a } from '@mnemosyne/contracts'\nexport const l = a",
    'services/library/src/inner.ts': 'export type Inner = string',
    [file]: planted,
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

test.each([
  [
    'by its name',
    'services/search/src/x.ts',
    "import { l } from '@mnemosyne/library'",
    'a-service-knows-no-other',
  ],
  [
    'by its path',
    'services/search/src/x.ts',
    "export { l } from '../../library/src/index.ts'",
    'a-service-knows-no-other',
  ],
  [
    'as a type',
    'services/search/src/x.ts',
    "import type { Inner } from '../../library/src/inner.ts'",
    'a-service-knows-no-other',
  ],
  [
    'at run time',
    'services/search/src/x.ts',
    "await using _ = await import('@mnemosyne/library')",
    'a-service-knows-no-other',
  ],
  [
    'from a test',
    'services/search/test/x.test.ts',
    "import '@mnemosyne/library'",
    'a-service-knows-no-other',
  ],
  ['from below', 'packages/graph/src/x.ts', "import '@mnemosyne/library'", 'downwards-only'],
  [
    'test code',
    'services/search/src/x.ts',
    "import '@mnemosyne/graph/testing'",
    'no-test-code-in-the-product',
  ],
])('a forbidden import is found: another service %s', (_, file, planted, rule) => {
  plant(file, planted)
  expect(findBreaches(root).breaches.map((breach) => breach.rule)).toContain(rule)
})

test('allowed imports are not', () => {
  plant(
    'services/search/src/x.ts',
    "import '@mnemosyne/contracts'\nimport '@mnemosyne/graph'\nimport 'node:fs'",
  )
  expect(findBreaches(root).breaches).toEqual([])
})

test('this repository keeps its boundaries', () => {
  const { breaches, modules } = findBreaches(fileURLToPath(new URL('..', import.meta.url)))
  expect(modules).toBeGreaterThan(100)
  expect(breaches).toEqual([])
})
