import { gatewayConfig } from '@mnemosyne/gateway'
import { ingestConfig } from '@mnemosyne/ingest'
import { mcpConfig } from '@mnemosyne/mcp'
import { ConfigError, parseConfig, withFormerNames } from '@mnemosyne/platform'
import { searchConfig } from '@mnemosyne/search'
import { type Env, settingsSchema } from './settings.ts'

/** How each service works. What auth and library stand on is the process's to say; beyond that they read nothing. */
export const serviceSchemas = {
  gateway: gatewayConfig,
  ingest: ingestConfig,
  search: searchConfig,
  mcp: mcpConfig,
}

export type ServiceConfigs = {
  [name in keyof typeof serviceSchemas]: ReturnType<(typeof serviceSchemas)[name]['parse']>
}

/**
 * Each service's own variables, parsed once. The faults of all services, and of the process that runs them, stand
 * in one ConfigError.
 */
export function readServiceConfigs(given: Env): ServiceConfigs {
  const env = withFormerNames(given)
  const readers = new Map<string, string[]>()
  const configs: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries({ mnemosyne: settingsSchema, ...serviceSchemas })) {
    try {
      configs[name] = parseConfig(name, schema, env)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      for (const fault of error.faults) readers.set(fault, [...(readers.get(fault) ?? []), name])
    }
  }
  const faults = [...readers].map(([fault, names]) => `${fault} (read by ${names.join(', ')})`)
  if (faults.length > 0) throw new ConfigError('mnemosyne', faults)
  return configs as ServiceConfigs
}
