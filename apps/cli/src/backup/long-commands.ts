import { DomainError, type Logger, systemClock, version } from '@mnemosyne/platform'
import { z } from 'zod'
import type { Stores } from '../system/open-stores.ts'
import { rebuildGraph } from './rebuild.ts'
import { type BackupOptions, type BackupStep, takeBackup } from './take-backup.ts'

type LongOptions = Pick<BackupOptions, 'onStep' | 'signal'>

const Backup = z.object({ dir: z.string(), passphrase: z.string().optional() })

/** What takes a while and works beside a running system, by the command's name. */
const commands = {
  backup: (stores: Stores, input: unknown, options: LongOptions) => {
    const { dir, passphrase } = Backup.parse(input)
    return takeBackup(stores, dir, { version, clock: systemClock, passphrase, ...options })
  },
  'rebuild-graph': (stores: Stores, input: unknown, options: LongOptions) => {
    const { all } = z.object({ all: z.boolean() }).parse(input)
    return rebuildGraph(stores, { all, ...options })
  },
}

export type LongCommand = keyof typeof commands
export type LongResult<C extends LongCommand> = Awaited<ReturnType<(typeof commands)[C]>>

export const isLongCommand = (command: string): command is LongCommand => Object.hasOwn(commands, command)

const busy = new WeakMap<Stores, LongCommand>()

/** Throws DomainError when it is refused. One at a time on the same stores. */
export async function runLong<C extends LongCommand>(
  stores: Stores,
  command: C,
  input: unknown,
  options: LongOptions,
): Promise<LongResult<C>> {
  const other = busy.get(stores)
  if (other) throw new DomainError('BUSY', `Another "mnemosyne ${other}" is at work here. Wait for its end.`)
  busy.set(stores, command)
  try {
    return (await commands[command](stores, input, options)) as LongResult<C>
  } finally {
    busy.delete(stores)
  }
}

/** A line of the answer: how far it is, and last what came of it. */
type Line = { step: BackupStep } | { result: unknown } | { error: { code: string; detail: string } }

/** Runs a command and tells of it in JSON lines, as it goes. It stops when nobody listens any more. */
export function answerLong(
  stores: Stores,
  command: LongCommand,
  input: unknown,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Response {
  const encoder = new TextEncoder()
  const stopped = new AbortController()
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      const send = (line: Line) => {
        if (!stopped.signal.aborted) controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`))
      }
      try {
        const onStep = (step: BackupStep) => send({ step })
        const options = { onStep, signal: AbortSignal.any([signal, stopped.signal]) }
        send({ result: await runLong(stores, command, input, options) })
      } catch (error) {
        send({ error: told(error, log) })
      }
      if (!stopped.signal.aborted) controller.close()
    },
    cancel: () => stopped.abort(),
  })
  return new Response(body, { headers: { 'content-type': 'application/x-ndjson' } })
}

function told(error: unknown, log: Logger): { code: string; detail: string } {
  if (error instanceof DomainError) return { code: error.code, detail: error.message }
  log.error({ err: error }, 'a command failed')
  return { code: 'INTERNAL', detail: 'It failed; the log has the cause.' }
}

/** What {@link answerLong} tells. Throws `DomainError`. */
export async function readLong<C extends LongCommand>(
  response: Response,
  onStep: (step: BackupStep) => void,
): Promise<LongResult<C>> {
  let rest = ''
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop()!
    for (const text of lines) {
      const line = JSON.parse(text) as Line
      if ('result' in line) return line.result as LongResult<C>
      if ('error' in line) throw new DomainError(line.error.code, line.error.detail)
      onStep(line.step)
    }
  }
  throw new DomainError('STOPPED', 'The process that owns the data stopped before it was done. Run it again.')
}
