import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { authProcessConfig } from '@mnemosyne/auth'
import { gatewayProcessConfig } from '@mnemosyne/gateway'
import { ingestProcessConfig } from '@mnemosyne/ingest'
import { libraryProcessConfig } from '@mnemosyne/library'
import { mcpProcessConfig } from '@mnemosyne/mcp'
import { searchProcessConfig } from '@mnemosyne/search'
import { expect, test } from 'vitest'
import type { z } from 'zod'
import { serviceSchemas } from '../apps/cli/src/system/configs.ts'
import { settingsSchema } from '../apps/cli/src/system/settings.ts'

const EXAMPLE = fileURLToPath(new URL('../.env.example', import.meta.url))

interface Variable {
  readers: string[]
  value: string
}

/** The variables of `.env.example`: `# Read by: …`, and in the next line `#NAME=default`. */
function variablesOfExample(): Map<string, Variable> {
  const variables = new Map<string, Variable>()
  let readers: string[] = []
  for (const line of readFileSync(EXAMPLE, 'utf8').split('\n')) {
    const named = /^# Read by: (.+)$/.exec(line)?.[1]
    const [, name, value = ''] = /^#([A-Z][A-Z0-9_]*)=(.*)$/.exec(line) ?? []
    if (name) variables.set(name, { readers, value })
    readers = named?.split(', ') ?? []
  }
  return variables
}

const PROCESSES = {
  gateway: gatewayProcessConfig,
  auth: authProcessConfig,
  library: libraryProcessConfig,
  ingest: ingestProcessConfig,
  search: searchProcessConfig,
  mcp: mcpProcessConfig,
}

/** Of the one process, and of each service that runs apart. */
function variablesOfSchemas(): Map<string, Variable> {
  const variables = new Map<string, Variable>()
  const add = (reader: string, { shape }: z.ZodObject) => {
    for (const [name, field] of Object.entries(shape)) {
      const known = variables.get(name)
      const readers = [...new Set([...(known?.readers ?? []), reader])]
      variables.set(name, { readers, value: name === 'LISTEN_PORT' ? '' : defaultOf(field as z.ZodType) })
    }
  }
  add('process', settingsSchema)
  for (const schema of Object.values(serviceSchemas)) add('process', schema)
  for (const [name, schema] of Object.entries(PROCESSES)) add(name, schema)
  return variables
}

function defaultOf(field: z.ZodType): string {
  const { success, data } = field.safeParse(undefined)
  return success && data !== undefined ? String(data) : ''
}

test('.env.example names every variable, its default and who reads it, and no other', () => {
  const schemas = variablesOfSchemas()
  expect(schemas.size).toBeGreaterThan(50)
  expect(Object.fromEntries(variablesOfExample())).toEqual(Object.fromEntries(schemas))
})

/** A container that is broken into holds no more than its work needs. */
const MAY_READ: [variable: RegExp, readers: string[]][] = [
  [/^DATABASE_URL$/, ['auth', 'library', 'ingest']],
  [/^AMQP_URL$/, ['auth', 'library', 'ingest']],
  [/^NEO4J_URL$/, ['library', 'ingest', 'search']],
  [/^AWS_|^USE_LOCAL_STORAGE$|_S3_|_STORAGE_DIR$/, ['ingest']],
  [/^EMBEDDING_|^HF_ENDPOINT$|^MNEMOSYNE_/, ['ingest', 'search']],
  [/_KEY$|_SECRET|PASSWORD/, ['ingest', 'search']],
  [/^ALLOWED_HOSTS$|^UPLOAD_MAX_BYTES$/, ['gateway']],
  [/^(AUTH|MCP|INGEST|LIBRARY|SEARCH)_URL$/, ['gateway', 'auth', 'library', 'ingest', 'mcp']],
]

test.each(MAY_READ)('of the services apart only some read %s', (variable, readers) => {
  const names = Object.entries(PROCESSES).flatMap(([name, { shape }]) =>
    Object.keys(shape).some((key) => variable.test(key)) ? [name] : [],
  )
  expect(readers).toEqual(expect.arrayContaining(names))
  expect(names.length).toBeGreaterThan(0)
})
