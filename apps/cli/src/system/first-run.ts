import { readFile, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  createClient,
  goldenQueriesContract,
  ingestContract,
  type Library,
  type LibraryType,
  libraryContract,
  searchContract,
} from '@mnemosyne/contracts'
import type { Connection } from '../connect.ts'
import { lookForLibrary } from '../find-library.ts'
import { awaitJobs, findFiles, uploadFile } from '../ingest-files.ts'
import type { Output } from '../output.ts'
import { Progress } from '../progress.ts'
import { hitLines } from '../show-hits.ts'
import type { System } from './open-system.ts'

const SAMPLES: { folder: string; name: string; library_type: LibraryType; description: string }[] = [
  {
    folder: 'technical',
    name: 'Sample: Workshop manuals',
    library_type: 'technical',
    description: 'Manuals written for this repository, to try a technical library with.',
  },
  {
    folder: 'fiction',
    name: 'Sample: Classic fiction',
    library_type: 'fiction',
    description: 'Beginnings of novels and tales in the public domain, to try a library of fiction with.',
  },
]

const SAMPLES_DIR = fileURLToPath(new URL('../../../../samples/', import.meta.url))
const SAMPLE_QUERY = 'How do I stop the pump from losing its prime?'

export interface FirstRun {
  /** The token minted now; undefined when that was at an earlier start. */
  token?: string
  /** A query that finds something here. */
  query: string
}

interface State {
  token_shown: boolean
  samples: boolean
}

/**
 * Makes what a fresh data folder needs: the first user, a signing key, and unless `empty` two sample libraries,
 * and last a token, which is shown once. Each step finds what an interrupted start had made.
 */
export async function firstRun(
  system: System,
  options: { output: Output; dataDir: string; empty: boolean; signal: AbortSignal },
): Promise<FirstRun> {
  const file = join(options.dataDir, 'first-run.json')
  const state = await readState(file)
  if (state.token_shown) return { query: state.samples ? SAMPLE_QUERY : 'What do I know about …?' }
  const { admin } = system
  const username =
    (await admin.firstUser())?.username ??
    (
      await admin.createUser({
        username: accountName(),
        email: '',
        staff: true,
        superuser: true,
        password: null,
      })
    ).username
  await admin.seedSigningKey({ kid: 'first', retireOther: false })
  const libraries = options.empty ? [] : await ingestSamples(system, options)
  const { token } = await admin.createUserToken({
    username,
    name: 'First token',
    expiresAt: null,
    allowedLibraries: options.empty ? ['*'] : libraries.map(({ uid }) => uid),
    allowedTools: [],
  })
  await writeFile(file, JSON.stringify({ token_shown: true, samples: !options.empty } satisfies State), {
    mode: 0o600,
  })
  return { token, query: options.empty ? 'What do I know about …?' : SAMPLE_QUERY }
}

async function readState(file: string): Promise<State> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as State
  } catch {
    return { token_shown: false, samples: false }
  }
}

/** The name of the person's account on this machine. */
function accountName(): string {
  const name = userInfo().username
  return name && name !== 'root' ? name : 'admin'
}

async function ingestSamples(
  system: System,
  { output, signal }: { output: Output; signal: AbortSignal },
): Promise<Library[]> {
  const local = localConnection(system)
  const plans = await Promise.all(
    SAMPLES.map(async ({ folder, ...sample }) => ({ sample, ...(await findFiles([folder], SAMPLES_DIR)) })),
  )
  const total = plans.reduce((sum, { files }) => sum + files.length, 0)
  output.say(`\nTaking in ${total} sample documents (two libraries; samples/README.md says what they are)`)
  using progress = new Progress('Indexing  ', total * 100, { quiet: output.json })
  const done = new Map<string, number>()
  const libraries: Library[] = []
  const jobs = []
  for (const { sample, files } of plans) {
    const library =
      (await lookForLibrary(local, sample.name)) ?? (await local.library.libraries.create(sample))
    libraries.push(library)
    for (const file of files) {
      const source_ref = `sample:${file.path.slice(SAMPLES_DIR.length)}`
      jobs.push(await uploadFile(local, file, { library_uid: library.uid, source_ref }, signal))
    }
  }
  const ended = await awaitJobs(
    local,
    jobs,
    (job) => {
      done.set(job.job_id, job.status === 'failed' ? 100 : job.progress)
      progress.update(
        [...done.values()].reduce((sum, value) => sum + value, 0),
        job.title,
      )
    },
    signal,
  )
  progress.update(total * 100)
  progress.stop()
  for (const job of ended) if (job.error) output.say(`  failed: ${job.title}: ${job.error}`)
  const answer = await local.search.search({ query: SAMPLE_QUERY, limit: 3 })
  output.say(`\nA first search: "${SAMPLE_QUERY}"`)
  for (const line of hitLines(answer)) output.say(line)
  return libraries
}

/** The system as the command line sees it, from within. */
function localConnection(system: System): Connection {
  const url = 'http://mnemosyne'
  const fetch = system.localFetch
  return {
    url,
    fetch,
    ownSystem: true,
    library: createClient(libraryContract, { url, fetch }),
    ingest: createClient(ingestContract, { url, fetch }),
    search: createClient(searchContract, { url, fetch }),
    goldenQueries: createClient(goldenQueriesContract, { url, fetch }),
    close: async () => {},
  }
}
