/**
 * Makes a data folder as a released version leaves it, for test/system/upgrade.test.ts:
 *
 *     node scripts/make-data-folder.ts COMMIT NAME
 *
 * checks COMMIT out beside the repository, takes a few small documents in with it, and leaves
 * test/fixtures/data-folders/NAME.tar.gz, with the token of its user in NAME.json. The packages of this repository's
 * node_modules have to be good enough for that commit.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FIXTURES = join(ROOT, 'test', 'fixtures', 'data-folders')

const DOCUMENTS = {
  'pump.md': '# Pump\n\n## Priming\n\nFill the casing with nine litres of water before the first start.\n',
  'lamp.md': '# Lamp\n\n## Wick\n\nTrim the wick every evening before the lamp is lit.\n',
  'boat.txt': 'The boat is hauled up the slip on the first day of November.\n',
}

const [commit, name] = process.argv.slice(2)
if (!commit || !name) throw new Error('usage: node scripts/make-data-folder.ts COMMIT NAME')

const home = mkdtempSync(join(tmpdir(), 'mnemosyne-released-'))
try {
  const program = checkOut(commit, join(home, 'program'))
  const dataDir = join(home, name)
  const token = await fill(program, dataDir)
  for (const left of ['secrets', 'logs', 'work', 'lock.db', 'lock.pid', 'control.sock'])
    rmSync(join(dataDir, left), { recursive: true, force: true })
  mkdirSync(FIXTURES, { recursive: true })
  execFileSync('tar', ['-C', home, '-czf', join(FIXTURES, `${name}.tar.gz`), name])
  writeFileSync(join(FIXTURES, `${name}.json`), `${JSON.stringify({ commit, token }, null, 2)}\n`)
} finally {
  rmSync(home, { recursive: true, force: true })
}

/** The program as of a commit, its packages linked as npm does. */
function checkOut(commit: string, dir: string): string {
  mkdirSync(dir)
  const archive = execFileSync('git', ['-C', ROOT, 'archive', commit], { maxBuffer: 2 ** 28 })
  execFileSync('tar', ['-x', '-C', dir], { input: archive })
  // Copied, because parsers may read nothing outside of the program.
  cpSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'), {
    recursive: true,
    filter: (path) => !path.endsWith('node_modules/@mnemosyne'),
    verbatimSymlinks: true,
  })
  mkdirSync(join(dir, 'node_modules', '@mnemosyne'))
  for (const group of ['packages', 'services', 'apps']) {
    for (const part of readdirSync(join(dir, group))) {
      const manifest = JSON.parse(readFileSync(join(dir, group, part, 'package.json'), 'utf8')) as {
        name: string
      }
      symlinkSync(join(dir, group, part), join(dir, 'node_modules', manifest.name))
    }
  }
  return join(dir, 'apps', 'cli', 'src', 'main.ts')
}

/** Starts the program on an empty folder, takes the documents in, and stops it. Returns its token. */
async function fill(program: string, dataDir: string): Promise<string> {
  const documents = join(home, 'documents')
  mkdirSync(documents)
  for (const [file, text] of Object.entries(DOCUMENTS)) writeFileSync(join(documents, file), text)
  const where = ['--data-dir', dataDir]
  const up = spawn(process.execPath, [program, 'up', '--empty', '--json', '--port', '0', ...where], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(up.stdout!), 'line')) as [string]
  const { url, token } = JSON.parse(line) as { url: string; token: string }
  try {
    const made = await fetch(`${url}/library/api/libraries/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Station', library_type: 'technical' }),
    })
    if (!made.ok) throw new Error(`no library: ${await made.text()}`)
    execFileSync(
      process.execPath,
      [program, 'ingest', documents, '--library', 'Station', '--wait', ...where],
      {
        stdio: 'inherit',
      },
    )
  } finally {
    up.kill('SIGINT')
    await once(up, 'exit')
  }
  return token
}
