import {
  createClient,
  type FetchHandler,
  goldenQueriesContract,
  ingestContract,
  libraryContract,
  searchContract,
} from '@mnemosyne/contracts'
import { version } from '@mnemosyne/platform'
import { CommandError, EXIT } from './output.ts'
import { reachRunning } from './system/control.ts'
import { openSystem } from './system/open-system.ts'
import type { Env } from './system/settings.ts'
import { readSettings } from './system/settings.ts'

export interface ConnectOptions {
  dataDir?: string
  url?: string
  token?: string
}

/** A way to a system's REST API. */
export interface Connection {
  fetch: FetchHandler
  url: string
  /** True when the system runs only as long as this command. */
  ownSystem: boolean
  library: ReturnType<typeof clientsOf>['library']
  ingest: ReturnType<typeof clientsOf>['ingest']
  goldenQueries: ReturnType<typeof clientsOf>['goldenQueries']
  search: ReturnType<typeof clientsOf>['search']
  close(): Promise<void>
}

/**
 * Finds the system that a command is about: the one at `--url` (or MNEMOSYNE_URL) with a token; else the process
 * that owns the data folder, through its socket; else the data folder itself, opened for this command.
 */
export async function connect(options: ConnectOptions, env: Env): Promise<Connection> {
  const url = options.url ?? env.MNEMOSYNE_URL
  if (url) return overNetwork(url.replace(/\/+$/, ''), options.token ?? env.MNEMOSYNE_TOKEN)
  const settings = readSettings(env, options)
  const running = await reachRunning(settings.MNEMOSYNE_DATA_DIR)
  if (running) return connection('http://mnemosyne', running.fetch, false, running.close)
  const system = await openSystem({ settings, env, version })
  return connection('http://mnemosyne', system.localFetch, true, system.close)
}

function overNetwork(url: string, token: string | undefined): Connection {
  if (!token) throw new CommandError('--url needs a token: pass --token or set MNEMOSYNE_TOKEN.', EXIT.usage)
  const fetchOverNetwork: FetchHandler = async (request) => {
    const headers = new Headers(request.headers)
    headers.set('authorization', `Bearer ${token}`)
    try {
      return await fetch(new Request(request, { headers }))
    } catch (cause) {
      throw new CommandError(`Mnemosyne does not answer at ${url}. Is it running there?`, EXIT.unavailable, {
        cause,
      })
    }
  }
  return connection(url, fetchOverNetwork, false, async () => {})
}

function connection(
  url: string,
  fetch: FetchHandler,
  ownSystem: boolean,
  close: () => Promise<void>,
): Connection {
  return { url, fetch, ownSystem, close, ...clientsOf(url, fetch) }
}

function clientsOf(url: string, fetch: FetchHandler) {
  return {
    library: createClient(libraryContract, { url, fetch }),
    ingest: createClient(ingestContract, { url, fetch }),
    goldenQueries: createClient(goldenQueriesContract, { url, fetch }),
    search: createClient(searchContract, { url, fetch }),
  }
}
