import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { mnemosyne } from './system/harness.ts'

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

/** What the schemas of the process and of each service read, with their defaults. */
async function variablesOfSchemas(names: Iterable<string>): Promise<Map<string, Variable>> {
  const env = Object.fromEntries([...names].map((name) => [name, undefined]))
  const { stdout } = await mnemosyne(['up', '--print-config'], { env })
  const variables = new Map<string, Variable>()
  let reader = ''
  for (const line of stdout.split('\n')) {
    if (line.startsWith('# ')) reader = line === '# mnemosyne' ? 'process' : line.slice(2)
    const [, name, value = ''] = /^([A-Z0-9_]+)=(.*)$/.exec(line) ?? []
    if (!name) continue
    const readers = [...(variables.get(name)?.readers ?? []), reader]
    variables.set(name, { readers, value })
  }
  return variables
}

test('.env.example names every variable, its default and who reads it, and no other', async () => {
  const example = variablesOfExample()
  const schemas = await variablesOfSchemas(example.keys())
  expect(schemas.size).toBeGreaterThan(20)
  const dataDir = schemas.get('MNEMOSYNE_DATA_DIR')
  if (dataDir?.value === resolve('data')) dataDir.value = './data'
  expect(Object.fromEntries(example)).toEqual(Object.fromEntries(schemas))
})
