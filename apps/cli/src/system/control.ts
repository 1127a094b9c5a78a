import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { FetchHandler } from '@mnemosyne/contracts'
import { DomainError, type Listener, type Logger, listen } from '@mnemosyne/platform'
import { Agent, fetch as undiciFetch } from 'undici'
import { z } from 'zod'
import { answerLong, isLongCommand } from '../backup/long-commands.ts'
import { administer } from './administration.ts'
import type { System } from './open-system.ts'

/** Bytes that fit into a socket's address on every Unix. */
const SOCKET_PATH_MAX = 100

/**
 * Where the process that owns `dataDir` answers the command line: a socket in the folder or, when its path would
 * be too long for a socket, in a private folder among the temporary files.
 */
export function controlSocket(dataDir: string): string {
  const inside = join(dataDir, 'control.sock')
  if (Buffer.byteLength(inside) <= SOCKET_PATH_MAX) return inside
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 16)
  return join(tmpdir(), `mnemosyne-${process.getuid?.() ?? 0}-${name}`, 'control.sock')
}

/**
 * Listens for the command line on the data folder's socket (mode 0600, in a folder of mode 0700): whoever may
 * open it is the owner of the folder. `/control/<command>` administers; any other path is a REST call as the
 * first user.
 */
export async function serveControl(system: System, dataDir: string): Promise<Listener> {
  const path = controlSocket(dataDir)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  if (!(await isPrivate(dirname(path), dataDir))) {
    throw new DomainError('CONTROL_FOLDER', `The folder ${dirname(path)} is another user's. Remove it.`)
  }
  await rm(path, { force: true })
  // The process's umask keeps the socket the owner's from its first moment.
  const listener = await listen(controlHandler(system), { path })
  await chmod(path, 0o600)
  return listener
}

/** Anybody may make a folder among the temporary files, wait there for a command line, and answer it. */
async function isPrivate(folder: string, dataDir: string): Promise<boolean> {
  if (folder === dataDir) return true
  const info = await lstat(folder).catch(() => undefined)
  return info?.isDirectory() === true && info.uid === process.getuid?.() && (info.mode & 0o077) === 0
}

function controlHandler(system: System): FetchHandler {
  return async (request) => {
    const command = /^\/control\/([a-z-]+)$/.exec(new URL(request.url).pathname)?.[1]
    if (!command) return system.localFetch(request)
    const { stores, log } = system
    try {
      if (isLongCommand(command)) {
        const input: unknown = await request.json()
        return answerLong(stores, command, input, { log, signal: request.signal })
      }
      return Response.json(await administer(system.admin, command, await request.json()))
    } catch (error) {
      return refusal(error, system.log)
    }
  }
}

function refusal(error: unknown, log: Logger): Response {
  if (error instanceof DomainError)
    return Response.json({ code: error.code, detail: error.message }, { status: 422 })
  if (error instanceof z.ZodError) {
    const detail = error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
    return Response.json({ code: 'INVALID', detail }, { status: 422 })
  }
  log.error({ err: error }, 'a command failed')
  return Response.json({ code: 'INTERNAL', detail: 'It failed; the log has the cause.' }, { status: 500 })
}

/** A fetch handler into the process that owns `dataDir`, or undefined when none answers. */
export async function reachRunning(
  dataDir: string,
): Promise<{ fetch: FetchHandler; close: () => Promise<void> } | undefined> {
  const socketPath = controlSocket(dataDir)
  if (!(await isPrivate(dirname(socketPath), dataDir)) || !(await answers(socketPath))) return undefined
  const agent = new Agent({ connect: { socketPath }, headersTimeout: 0, bodyTimeout: 0 })
  return {
    fetch: async (request) => {
      const { method, headers, body, signal } = request
      const init = { method, headers: [...headers], body, signal, duplex: 'half', dispatcher: agent }
      return (await undiciFetch(request.url, init as never)) as unknown as Response
    },
    close: () => agent.close(),
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
