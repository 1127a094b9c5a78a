// `npm run check:boundaries`: fails when an import crosses a boundary that docs/architecture.md draws.
import { fileURLToPath } from 'node:url'
import { findBreaches } from './boundaries/boundaries.ts'

const { breaches, modules } = findBreaches(fileURLToPath(new URL('..', import.meta.url)))
for (const { from, to, rule, why } of breaches)
  process.stderr.write(`${from} imports ${to}: ${rule} (${why})\n`)
process.stdout.write(`${modules} modules, ${breaches.length} forbidden imports\n`)
// Nothing found to check is a fault of the check.
process.exitCode = breaches.length > 0 || modules === 0 ? 1 : 0
