// Runs before npm's scripts, on whatever Node the machine has: installs what package-lock.json names when that
// has not been done, or was done for another lock file. It uses nothing but Node itself.
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'

const time = (file) =>
  statSync(new URL(`../${file}`, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0

if (time('node_modules/.package-lock.json') < time('package-lock.json')) {
  process.stderr.write('Installing the packages of package-lock.json (once) …\n')
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: new URL('..', import.meta.url),
    stdio: ['ignore', 2, 2],
    // Its install script downloads GPU libraries; the CPU library is in the package itself.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
    shell: process.platform === 'win32',
  })
  if (status !== 0) {
    process.stderr.write('The installation failed. Is a package registry in reach? Then try again.\n')
    process.exit(status ?? 1)
  }
}
