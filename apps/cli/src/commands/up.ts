import {
  goneVariables,
  type Listener,
  listen,
  noteFatal,
  printConfig,
  untilStopped,
  version,
} from '@mnemosyne/platform'
import type { Command } from 'commander'
import { EXIT, Output } from '../output.ts'
import { Progress } from '../progress.ts'
import { readServiceConfigs, type ServiceConfigs, serviceSchemas } from '../system/configs.ts'
import { serveControl } from '../system/control.ts'
import { firstRun } from '../system/first-run.ts'
import { openSystem, type System } from '../system/open-system.ts'
import { readSettings, type Settings, settingsSchema } from '../system/settings.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

interface UpOptions extends GlobalOptions {
  port?: string
  host?: string
  empty?: boolean
  printConfig?: boolean
}

/** What a stop may take before the process ends anyway. */
const STOP_MS = 9_000

export function upCommand(program: Command): void {
  withGlobals(program.command('up').description('start everything in this process'))
    .option('--port <port>', 'where to listen (MNEMOSYNE_PORT, else 23181; 0: any free port)')
    .option('--host <address>', 'on which address (MNEMOSYNE_HOST, else 127.0.0.1)')
    .option('--empty', 'without the sample libraries')
    .option('--print-config', 'print what each service reads from the environment, secrets masked, and end')
    .action(async (options: UpOptions) => {
      const env = {
        ...process.env,
        ...(options.port !== undefined && { MNEMOSYNE_PORT: options.port }),
        ...(options.host !== undefined && { MNEMOSYNE_HOST: options.host }),
      }
      const configs = readServiceConfigs(env)
      const settings = readSettings(env, options)
      if (options.printConfig) return showConfig(settings, configs)
      await up(settings, env, options)
    })
}

async function up(settings: Settings, env: NodeJS.ProcessEnv, options: UpOptions): Promise<void> {
  const output = new Output(options)
  const stop = untilStopped()
  const started = performance.now()
  output.say(`Mnemosyne ${version}`)
  for (const name of goneVariables(env)) output.say(`  ${name} is set, and means nothing any more`)
  const closing = new AsyncDisposableStack()
  try {
    const system = await open(settings, env, output, stop.signal)
    closing.defer(noteFatal(system.log))
    closing.defer(() => system.close())
    const listener = await listen(system.fetch, {
      host: settings.MNEMOSYNE_HOST,
      port: settings.MNEMOSYNE_PORT,
    })
    closing.defer(() => listener.close(3_000))
    const control = await serveControl(system, settings.MNEMOSYNE_DATA_DIR)
    closing.defer(() => control.close(1_000))
    tellState(output, system, settings, performance.now() - started)
    const first = await firstRun(system, {
      output,
      dataDir: settings.MNEMOSYNE_DATA_DIR,
      empty: options.empty ?? false,
      signal: stop.signal,
    })
    tellAddress(output, listener, first)
    await stop.asked
    output.say('\nStopping …')
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    const cut = setTimeout(() => process.exit(EXIT.failed), STOP_MS)
    await closing.disposeAsync()
    clearTimeout(cut)
    stop.release()
  }
  output.say('Stopped.')
}

/** Opens the system, with a bar for each file of the model that has to be fetched. */
async function open(
  settings: Settings,
  env: NodeJS.ProcessEnv,
  output: Output,
  signal: AbortSignal,
): Promise<System> {
  let shown: { file: string; bar: Progress } | undefined
  const onModelProgress = ({ file, received, total }: { file: string; received: number; total: number }) => {
    if (shown?.file !== file) {
      shown?.bar.stop()
      shown = { file, bar: new Progress(`Embedding model: ${file}`, total, { quiet: output.json }) }
    }
    shown.bar.update(received, `${Math.round(received / 1e6)} of ${Math.round(total / 1e6)} MB`)
  }
  try {
    return await openSystem({ settings, env, version, onModelProgress, signal })
  } finally {
    shown?.bar.stop()
  }
}

function tellState(output: Output, system: System, settings: Settings, tookMs: number): void {
  const { model } = system
  output.say(`  data    ${settings.MNEMOSYNE_DATA_DIR}`)
  if (model.embedder) output.say(`  model   ${model.embedder.model.name} (${model.source})`)
  else {
    output.say(`  model   none: ${model.reason}`)
    output.say('          Search works by full text and graph until there is one.')
    output.say(`          ${model.whatToDo}`)
  }
  output.say(`  started in ${(tookMs / 1000).toFixed(1)} s`)
}

function tellAddress(output: Output, listener: Listener, first: Awaited<ReturnType<typeof firstRun>>): void {
  const { url } = listener
  const { token, query } = first
  const shown = token ?? '$MNEMOSYNE_TOKEN'
  const body = JSON.stringify({ query, limit: 3 })
  const curl = `curl -s ${url}/library/api/search/ -H 'Authorization: Bearer ${shown}' -H 'Content-Type: application/json' -d '${body}'`
  const mcp = {
    mcpServers: {
      mnemosyne: { type: 'http', url: `${url}/mcp/`, headers: { Authorization: `Bearer ${shown}` } },
    },
  }
  output.result({ url, token, curl, mcp }, [
    '',
    `Open      ${url}/`,
    token
      ? `Token     ${token}   (shown this once: keep it)`
      : 'Token     the one shown at the first start; "npx mnemosyne create-user-token" mints another',
    '',
    'Search from a shell:',
    `  ${curl}`,
    '',
    'Search from an MCP client (Cursor, Claude Code and others take this as it is):',
    ...JSON.stringify(mcp, null, 2)
      .split('\n')
      .map((line) => `  ${line}`),
    '',
    'Ctrl-C stops it.',
  ])
}

function showConfig(settings: Settings, configs: ServiceConfigs): void {
  process.stdout.write(`# mnemosyne\n${printConfig(settingsSchema, settings)}\n`)
  for (const [name, schema] of Object.entries(serviceSchemas)) {
    process.stdout.write(
      `\n# ${name}\n${printConfig(schema, configs[name as keyof typeof configs] as never)}\n`,
    )
  }
}
