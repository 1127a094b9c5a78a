import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { s3Location, version } from '@mnemosyne/platform'
import { openSystem, type System } from './open-system.ts'
import type { Env, Settings } from './settings.ts'

/** Whether every store is a server: then nothing lies in a data folder, and no process owns one. */
export function standsApart(settings: Settings): boolean {
  const { DATABASE_URL, AMQP_URL, NEO4J_URL } = settings
  return Boolean(DATABASE_URL && AMQP_URL && NEO4J_URL && s3Location('mnemosyne', settings))
}

/**
 * The system on its stores, for a command that administers: no model, no worker, nothing goes out. Every store is
 * brought to the layout of this version. On servers it runs beside the services, with a data folder for the moment.
 */
export async function openForAdministration(settings: Settings, env: Env): Promise<System> {
  if (!standsApart(settings)) return openSystem({ settings, env, version, purpose: 'administer' })
  const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-command-'))
  const forget = () => rm(folder, { recursive: true, force: true })
  try {
    const own = { ...settings, MNEMOSYNE_DATA_DIR: folder }
    const system = await openSystem({ settings: own, env, version, purpose: 'administer' })
    return { ...system, close: () => system.close().finally(forget) }
  } catch (error) {
    await forget()
    throw error
  }
}
