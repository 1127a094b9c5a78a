import { execFile } from 'node:child_process'
import { access, readdir, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const POLICY = '/usr/sbin/policy-rc.d'
const FIVE_MINUTES = 300_000

/** What a command prints on standard output, trimmed. */
export async function execText(
  command: string,
  args: string[],
  options: { env?: Record<string, string | undefined>; timeout?: number; cwd?: string } = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, {
    timeout: 60_000,
    maxBuffer: 1 << 24,
    ...options,
  })
  return stdout.trim()
}

/** Directory of an executable in `folders` or on the PATH; undefined when there is none. */
export async function findProgram(name: string, folders: string[] = []): Promise<string | undefined> {
  for (const folder of [...folders, ...(process.env.PATH ?? '').split(delimiter)]) {
    if (folder && (await exists(join(folder, name)))) return folder
  }
  return undefined
}

/** Subfolders' `bin`, the highest version first: `/usr/lib/postgresql/15/bin`. */
export async function versionedBins(root: string): Promise<string[]> {
  const versions = await readdir(root).catch(() => [])
  return versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(root, version, 'bin'))
}

/** Installs a Debian package without starting its service. Throws the reason when that can't be done here. */
export async function installPackage(name: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error(`${name} is not installed, and only root can install it`)
  if (!(await findProgram('apt-get')))
    throw new Error(`${name} is not installed, and there is no apt-get here`)
  process.stderr.write(`Installing ${name} for the tests, once …\n`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args: string[]) =>
    execText('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], { env, timeout: FIVE_MINUTES })
  const install = () => apt('install', '-y', '--no-install-recommends', name)
  const ownPolicy = !(await exists(POLICY))
  if (ownPolicy) await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await install().catch(async () => {
      await apt('update')
      await install()
    })
  } catch (cause) {
    throw new Error(`apt-get could not install ${name}`, { cause })
  } finally {
    if (ownPolicy) await rm(POLICY, { force: true })
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
