import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asUser, createWorkplace, freePorts, GuardedProcess, removeWorkplace } from './guarded-process.ts'
import { execText, findProgram, installPackage } from './install.ts'

/** The file that is shipped. */
const TEMPLATE = new URL('../../../../deploy/nginx/nginx.conf.template', import.meta.url)

export interface NginxOptions {
  /** Where the gateway answers: `http://host:port`. A host name is resolved by `resolver`. */
  gateway: string
  /** Where the mcp service answers. */
  mcp: string
  /** DNS server, `address:port`. Needed only for host names. */
  resolver?: string
  /** Address or network that is believed about client and scheme; default 127.0.0.2. */
  tlsTerminator?: string
  /** Largest upload, as nginx writes sizes; default 1g. */
  uploadMax?: string
}

export interface NginxServer extends AsyncDisposable {
  readonly url: string
  /** The lines of the access log so far. */
  accessLog(): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/**
 * A real nginx with the shipped configuration on a free port of the loopback interface, as an unprivileged user when
 * we are root. Installs it where it can.
 */
export async function startNginx(options: NginxOptions): Promise<NginxServer> {
  const program = await nginxProgram()
  const workplace = await createWorkplace('nginx', 'nobody')
  const [port] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const accessLog = join(workplace.dir, 'access.log')
  const file = join(workplace.dir, 'nginx.conf')
  let server: GuardedProcess | undefined
  const running: NginxServer = {
    url,
    async accessLog() {
      const lines = (await readFile(accessLog, 'utf8')).split('\n')
      return lines.filter((line) => line !== '').map((line) => JSON.parse(line))
    },
    async close() {
      await server?.stop()
      await removeWorkplace(workplace)
    },
    [Symbol.asyncDispose]: () => running.close(),
  }
  try {
    const configuration = renderNginx(await readFile(TEMPLATE, 'utf8'), {
      NGINX_LISTEN: `127.0.0.1:${port}`,
      NGINX_RESOLVER: options.resolver ?? '127.0.0.1',
      NGINX_GATEWAY: new URL(options.gateway).host,
      NGINX_MCP: new URL(options.mcp).host,
      NGINX_TLS_TERMINATOR: options.tlsTerminator ?? '127.0.0.2',
      NGINX_UPLOAD_MAX: options.uploadMax ?? '1g',
      NGINX_ACCESS_LOG: accessLog,
      NGINX_RUN_DIR: workplace.dir,
    })
    await writeFile(file, configuration, { mode: 0o644 })
    const argv = [program, '-e', 'stderr', '-c', file]
    const [command, ...args] = asUser(workplace, [...argv, '-t'])
    await execText(command as string, args)
    server = new GuardedProcess(workplace, 'nginx', {
      argv: [...argv, '-g', 'daemon off;'],
      signal: 'TERM',
    })
    await server.ready(() => fetch(`${url}/nginx_status`).then((answer) => answer.text()))
    return running
  } catch (error) {
    await running.close()
    throw error
  }
}

/** What the image's `envsubst` makes of the template. Throws when a variable has no value. */
function renderNginx(template: string, values: Record<string, string>): string {
  return template.replaceAll(/\$\{(NGINX_[A-Z_]+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`nginx.conf.template names ${name}, which has no value here`)
    return value
  })
}

/** Path of nginx, which is installed when it is missing. */
export async function nginxProgram(): Promise<string> {
  const find = () => findProgram('nginx', ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin'])
  let folder = await find()
  if (!folder) {
    await installPackage('nginx')
    folder = await find()
  }
  if (!folder) throw new Error('nginx was installed, but there is no such program')
  return join(folder, 'nginx')
}
