import { defineConfig } from 'vitest/config'
import { serversMissing } from './test/servers-missing.ts'

/** Those that know nothing of how the product runs: they run on both. */
const IN_BOTH_MODES = 'test/system/both-modes/*.test.ts'
const missing = serversMissing()
if (missing) process.stderr.write(`SKIPPED: tests of the services apart: ${missing}\n`)

const common = {
  testTimeout: 60_000,
  hookTimeout: 180_000,
  // What a busy machine is slow to show is no failure.
  expect: { poll: { timeout: 10_000 } },
}

export default defineConfig({
  test: {
    pool: 'forks',
    // Of the whole run: its servers are shared by both projects.
    globalSetup: ['test/global-setup.ts'],
    projects: [
      {
        test: {
          ...common,
          name: 'embedded',
          provide: { mode: 'embedded' },
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          include: [
            'packages/*/{src,test}/**/*.test.ts',
            'services/*/{src,test}/**/*.test.ts',
            'apps/*/{src,test}/**/*.test.ts',
            'test/**/*.test.ts',
          ],
          exclude: ['**/node_modules/**', 'test/system/distributed/**'],
        },
      },
      {
        test: {
          ...common,
          name: 'distributed',
          provide: { mode: 'distributed' },
          // Each is some twenty processes: two at a time would wait for each other, and run into time limits.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          include: missing ? [] : [IN_BOTH_MODES, 'test/system/distributed/*.test.ts'],
        },
      },
    ],
  },
})
