import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient, ingestContract, type Job, libraryContract, UPLOAD_PATH } from '@mnemosyne/contracts'
import { version } from '@mnemosyne/platform'
import { openSystem, type System } from '../src/system/open-system.ts'
import { readSettings } from '../src/system/settings.ts'

const ENV = { MNEMOSYNE_MODEL_DIR: '/nonexistent', LOGGING_LEVEL: 'silent' }

/** The settings of embedded stores in `dataDir`. */
export const settingsOf = (dataDir: string) => readSettings(ENV, { dataDir })

/** The system in this process, without a model. */
export const openIn = (dataDir: string): Promise<System> =>
  openSystem({ settings: settingsOf(dataDir), env: ENV, version })

/** A system with a user, a token, a library and some documents, of which one was replaced and one failed. */
export async function fill(system: System): Promise<{ token: string; libraryUid: string }> {
  const user = {
    username: 'ada.lovelace',
    email: '',
    staff: true,
    superuser: true,
    password: 'correct horse',
  }
  await system.admin.createUser(user)
  await system.admin.seedSigningKey({ kid: 'first', retireOther: false })
  const library = await clientsOf(system).library.libraries.create({
    name: 'Lights',
    library_type: 'technical',
  })
  const versions = [
    ['brenna', '# Brenna\n\nThe Brenna light was built on granite.\n'],
    ['skerry', '# Skerry\n\nThe first keeper of Skerry was a fisherman.\n'],
    ['skerry', '# Skerry\n\nThe second keeper of Skerry was a carpenter. \u2028 He wrote “Πharos”.\n'],
    ['damaged', '%PDF-1.7\nthis is no PDF'],
  ] as const
  for (const [source_ref, content] of versions) {
    const { job_id } = await upload(system, { library_uid: library.uid, source_ref }, content)
    await ended(system, job_id)
  }
  const token = await system.admin.createUserToken({
    username: 'ada.lovelace',
    name: 'test',
    expiresAt: null,
    allowedLibraries: [library.uid],
    allowedTools: [],
  })
  return { token: token.token, libraryUid: library.uid }
}

export function clientsOf(system: System) {
  const reach = { url: 'http://mnemosyne', fetch: system.localFetch }
  return { library: createClient(libraryContract, reach), ingest: createClient(ingestContract, reach) }
}

export async function upload(system: System, fields: Record<string, string>, content: string): Promise<Job> {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  form.set('file', new Blob([content]), `${fields.source_ref}.${content.startsWith('%PDF') ? 'pdf' : 'md'}`)
  const request = new Request(`http://mnemosyne${UPLOAD_PATH}`, { method: 'POST', body: form })
  return (await system.localFetch(request)).json() as Promise<Job>
}

export async function ended(system: System, job_id: string): Promise<Job> {
  const { ingest } = clientsOf(system)
  for (;;) {
    const job = await ingest.jobs.get({ job_id })
    if (job.status === 'completed' || job.status === 'failed') return job
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** SHA-256 of every file in a folder, by its path there. */
export async function filesIn(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const hashes = paths.sort().map(async (path) => {
    const hash = createHash('sha256')
    return [path.slice(dir.length + 1), hash.update(await readFile(path)).digest('hex')] as const
  })
  return Object.fromEntries(await Promise.all(hashes))
}
