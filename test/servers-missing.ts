import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const NEEDED = ['initdb', 'rabbitmq-server', 'mvn', 'go']
const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/lib/postgresql/15/bin', '/usr/sbin']

/**
 * Why the real servers of the distributed mode can't be had here, or undefined. Debian's root installs what is
 * missing; with CI=true whatever is missing has to fail.
 */
export function serversMissing(): string | undefined {
  if (process.env.CI === 'true' || (process.getuid?.() === 0 && has('apt-get'))) return undefined
  const missing = NEEDED.filter((program) => !has(program))
  return missing.length > 0 ? `${missing.join(', ')} not found` : undefined
}

const has = (program: string) => FOLDERS.some((folder) => folder !== '' && existsSync(join(folder, program)))
