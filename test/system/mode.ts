import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import { DaedalusFolder } from './daedalus-store.ts'
import { type DistributedOptions, DistributedSystem } from './distributed-system.ts'
import { mnemosyne, RunningSystem, temporaryFolder } from './harness.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** How the whole product runs under the tests that know no difference. */
    mode: 'embedded' | 'distributed'
  }
}

export const mode = () => inject('mode')

type Env = Record<string, string | undefined>

/** In one process on embedded stores, in a folder of its own that goes with it. */
async function startEmbedded({ env }: { env?: Env }) {
  const folder = temporaryFolder()
  const daedalus = new DaedalusFolder(join(folder.path, 'daedalus'))
  const system = await RunningSystem.start(join(folder.path, 'data'), { env: { ...daedalus.env, ...env } })
  return Object.assign(system, {
    daedalus,
    databaseUrl: (service: string) => `sqlite:${join(system.dataDir, `${service}.db`)}`,
    command: (args: string[], options: { input?: string } = {}) =>
      mnemosyne([...args, '--data-dir', system.dataDir, '--json'], options),
    /** Everything that it has written down. */
    async *kept(): AsyncGenerator<[name: string, bytes: Buffer]> {
      yield ['stderr', Buffer.from(system.stderr)]
      for (const name of readdirSync(system.dataDir, { recursive: true, encoding: 'utf8' })) {
        const path = join(system.dataDir, name)
        if (statSync(path).isFile()) yield [name, readFileSync(path)]
      }
    },
    metrics: async () => (await system.call('GET', '/metrics', undefined, { token: null })).text,
    [Symbol.asyncDispose]: async () => {
      await system.stop()
      folder[Symbol.dispose]()
    },
  })
}

/** The product in the mode of this run, as its clients and operators see it. */
export type SystemInMode = Awaited<ReturnType<typeof startEmbedded>> | DistributedSystem

/** Starts the product in the mode of this run; replicas, where it is apart. Dispose of it. */
export async function startInMode(
  options: { env?: Env } & Pick<DistributedOptions, 'replicas'> = {},
): Promise<SystemInMode> {
  return mode() === 'distributed' ? DistributedSystem.start(options) : startEmbedded(options)
}
