import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createLog,
  createRegistry,
  type DataFolder,
  Metrics,
  openDataFolder,
  openLogFile,
  systemClock,
} from '@mnemosyne/platform'
import { standsApart } from '../system/open-for-administration.ts'
import { openStores, type Stores } from '../system/open-stores.ts'
import { DATA_FORMAT } from '../system/open-system.ts'
import type { Settings } from '../system/settings.ts'

/** Stores without the services on them; `folder` is null where all of them are servers. */
export interface StoresAlone extends AsyncDisposable {
  stores: Stores
  folder: DataFolder | null
}

/** Opens the stores that the settings name, and for those that are files owns the data folder meanwhile. */
export async function openStoresAlone(settings: Settings): Promise<StoresAlone> {
  process.umask(0o077)
  await using opening = new AsyncDisposableStack()
  const apart = standsApart(settings)
  const folder = apart ? await passingFolder(opening) : await ownFolder(settings, opening)
  const destination = apart ? process.stderr : openLogFile(folder.path('logs', 'mnemosyne.jsonl'))
  const level = apart ? 'warn' : settings.LOGGING_LEVEL
  const registry = createRegistry()
  const closing = opening.use(new AsyncDisposableStack())
  const stores = await openStores(settings, {
    folder,
    logOf: (component) => createLog({ component, level, destination }),
    metricsOf: (component) => new Metrics(registry, component),
    clock: systemClock,
    closing,
  })
  const opened = opening.move()
  return {
    stores,
    folder: apart ? null : folder,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

async function ownFolder(settings: Settings, closing: AsyncDisposableStack): Promise<DataFolder> {
  return closing.use(await openDataFolder(settings.MNEMOSYNE_DATA_DIR, { formatVersion: DATA_FORMAT }))
}

async function passingFolder(closing: AsyncDisposableStack): Promise<DataFolder> {
  const dir = await mkdtemp(join(tmpdir(), 'mnemosyne-command-'))
  closing.defer(() => rm(dir, { recursive: true, force: true }))
  return closing.use(await openDataFolder(dir, { formatVersion: DATA_FORMAT }))
}

/** Whether there is a data folder, or all stores are servers. */
export async function hasStores(settings: Settings): Promise<boolean> {
  if (standsApart(settings)) return true
  return access(join(settings.MNEMOSYNE_DATA_DIR, 'format.json')).then(
    () => true,
    () => false,
  )
}
