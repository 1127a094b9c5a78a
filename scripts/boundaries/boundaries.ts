import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { parseSync } from 'oxc-parser'

/** A module of the repository, by the part that it belongs to. */
interface Place {
  /** `services/search`, `packages/graph`, `apps/cli`; or the first folder, `test`. */
  part: string
  layer: 'packages' | 'services' | 'apps' | 'other'
  /** Tests, benchmarks and what only they use. */
  testing: boolean
}

interface Arrow {
  from: string
  to: string
  /** By the package's name, so through what its `exports` opens; otherwise by a path into it. */
  byName: boolean
}

interface Rule {
  name: string
  why: string
  breaks: (from: Place, to: Place, arrow: Arrow) => boolean
}

export interface Breach extends Arrow {
  rule: string
  why: string
}

const RULES: Rule[] = [
  {
    name: 'a-service-knows-no-other',
    why: 'services know each other only by packages/contracts',
    breaks: (from, to) => from.layer === 'services' && to.layer === 'services' && from.part !== to.part,
  },
  {
    name: 'downwards-only',
    why: 'apps use services, services use packages, never the other way',
    breaks: (from, to) =>
      (from.layer === 'packages' && (to.layer === 'services' || to.layer === 'apps')) ||
      (from.layer === 'services' && to.layer === 'apps'),
  },
  {
    name: 'contracts-stand-alone',
    why: 'what everyone depends on depends on nobody',
    breaks: (from, to) => from.part === 'packages/contracts' && to.part !== from.part,
  },
  {
    name: 'platform-knows-only-contracts',
    why: 'it knows nothing of documents or models',
    breaks: (from, to) =>
      from.part === 'packages/platform' && ![from.part, 'packages/contracts'].includes(to.part),
  },
  {
    name: 'by-the-front-door',
    why: 'import the package, not a file inside it',
    breaks: (from, to, { byName }) =>
      from.part !== to.part && to.layer !== 'other' && from.layer !== 'other' && !byName,
  },
  {
    name: 'no-test-code-in-the-product',
    why: 'what a person runs must not need what only tests need',
    breaks: (from, to) => !from.testing && to.testing && from.layer !== 'other',
  },
]

/** Every import under `root` (static, dynamic, type-only or re-export) that breaks a rule. */
export function findBreaches(root: string): { breaches: Breach[]; modules: number } {
  const modules = ['packages', 'services', 'apps', 'test', 'bench', 'scripts'].flatMap((folder) =>
    sources(root, folder),
  )
  const breaches = modules.flatMap((from) =>
    importsOf(root, from).flatMap((arrow) => {
      const { to } = arrow
      return RULES.filter((rule) => rule.breaks(placeOf(from), placeOf(to), arrow)).map(({ name, why }) => ({
        ...arrow,
        rule: name,
        why,
      }))
    }),
  )
  return { breaches, modules: modules.length }
}

function sources(root: string, folder: string): string[] {
  let entries: ReturnType<typeof readEntries>
  try {
    entries = readEntries(join(root, folder))
  } catch {
    return []
  }
  return entries.flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (entry.isDirectory())
      return entry.name === 'node_modules' || entry.name === 'fixtures' ? [] : sources(root, path)
    return /\.m?ts$/.test(entry.name) && !entry.name.endsWith('.d.ts') ? [path] : []
  })
}

const readEntries = (path: string) => readdirSync(path, { withFileTypes: true })

/** What `file` imports of this repository. Throws when it can't be parsed. */
function importsOf(root: string, file: string): Arrow[] {
  const source = readFileSync(join(root, file), 'utf8')
  const { module, errors } = parseSync(file, source)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`)
  const specifiers = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? []),
    ),
    ...module.dynamicImports.map(({ moduleRequest }) =>
      source.slice(moduleRequest.start + 1, moduleRequest.end - 1),
    ),
  ]
  return specifiers.flatMap((specifier) => {
    const to = resolveOwn(root, file, specifier)
    return to === undefined ? [] : [{ from: file, to, byName: !specifier.startsWith('.') }]
  })
}

function resolveOwn(root: string, from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.'))
    return relative(root, join(root, dirname(from), specifier)).replaceAll('\\', '/')
  const own = /^@mnemosyne\/([^/]+)(\/.+)?$/.exec(specifier)
  if (!own) return undefined
  const [, name, sub] = own
  const layer = ['packages', 'services', 'apps'].find((folder) =>
    readdirSafe(join(root, folder)).includes(name!),
  )
  const inside = sub === undefined ? 'index.ts' : sub === '/testing' ? 'testing/index.ts' : sub.slice(1)
  return layer && `${layer}/${name}/src/${inside}`
}

function readdirSafe(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function placeOf(file: string): Place {
  const [first = '', second = ''] = file.split('/')
  const layer = first === 'packages' || first === 'services' || first === 'apps' ? first : 'other'
  const testing = /\.test\.ts$|\/(testing|test|bench)\//.test(file)
  return { part: layer === 'other' ? first : `${first}/${second}`, layer, testing }
}
