import { basename } from 'node:path'
import {
  type Collection,
  type Job,
  LIBRARY_TYPES,
  type Library,
  type LibraryType,
} from '@mnemosyne/contracts'
import { type Command, Option } from 'commander'
import { type Connection, connect } from '../connect.ts'
import { lookForLibrary } from '../find-library.ts'
import { awaitJobs, eachOf, findFiles, uploadFile } from '../ingest-files.ts'
import { CommandError, EXIT, Output } from '../output.ts'
import { Progress } from '../progress.ts'
import { type GlobalOptions, withSystem } from './shared-options.ts'

interface IngestOptions extends GlobalOptions {
  library: string
  libraryType?: LibraryType
  collection?: string
  wait?: boolean
}

const UPLOADS_AT_ONCE = 4

const PAGE = 200

export function ingestCommand(program: Command): void {
  withSystem(
    program
      .command('ingest')
      .argument('<path...>', 'files and folders')
      .description('take files in; folders are searched for documents'),
  )
    .requiredOption('--library <name|uid>', 'the library that they go to')
    .addOption(
      new Option(
        '--library-type <type>',
        'make the library, of this type, if there is none of that name',
      ).choices(LIBRARY_TYPES),
    )
    .option('--collection <name>', 'a collection of the library, made if there is none')
    .option('--wait', 'wait until everything is searchable')
    .action((paths: string[], options: IngestOptions) => ingest(paths, options))
}

async function ingest(paths: string[], options: IngestOptions): Promise<void> {
  const output = new Output(options)
  const { files, skipped, unreadable } = await findFiles(paths, process.env.INIT_CWD ?? process.cwd())
  if (files.length + unreadable.length === 0)
    throw new CommandError('There is no document among these paths.')
  const system = await connect(options, process.env)
  try {
    const library = await libraryFor(system, options)
    const collection_uid = options.collection
      ? await collectionFor(system, library.uid, options.collection)
      : undefined
    const accepted: Job[] = []
    const refused = [...unreadable]
    using uploads = new Progress('Uploading ', files.length, { quiet: output.json })
    let sent = 0
    await eachOf(files, UPLOADS_AT_ONCE, async (file) => {
      try {
        accepted.push(await uploadFile(system, file, { library_uid: library.uid, collection_uid }))
      } catch (error) {
        refused.push({ path: file.path, reason: (error as Error).message })
      }
      uploads.update(++sent, basename(file.path))
    })
    uploads.stop()
    // A system opened for this command works only as long as it lasts.
    const wait = options.wait || system.ownSystem
    const jobs = wait ? await watch(system, accepted, output.json) : accepted
    report(output, library, { jobs, refused, skipped, wait })
  } finally {
    await system.close()
  }
}

async function watch(system: Connection, jobs: Job[], quiet: boolean): Promise<Job[]> {
  using progress = new Progress('Indexing  ', jobs.length * 100, { quiet })
  const done = new Map(jobs.map((job) => [job.job_id, job.progress]))
  return await awaitJobs(system, jobs, (job) => {
    done.set(job.job_id, job.status === 'failed' ? 100 : job.progress)
    progress.update(
      [...done.values()].reduce((sum, value) => sum + value, 0),
      job.title,
    )
  })
}

function report(
  output: Output,
  library: Library,
  outcome: {
    jobs: Job[]
    refused: { path: string; reason: string }[]
    skipped: { path: string; reason: string }[]
    wait: boolean
  },
): void {
  const { jobs, refused, skipped, wait } = outcome
  const failed = jobs.filter((job) => job.status === 'failed')
  const chunks = jobs.reduce((sum, job) => sum + job.chunks_created, 0)
  const summary = wait
    ? `${jobs.length - failed.length} documents in ${JSON.stringify(library.name)}, ${chunks} passages.`
    : `${jobs.length} documents accepted into ${JSON.stringify(library.name)}; "mnemosyne status" shows how far they are.`
  output.result({ library, jobs, refused, skipped }, [
    ...failed.map((job) => `Failed: ${job.title}: ${job.error}`),
    ...refused.map(({ path, reason }) => `Refused: ${path}: ${reason}`),
    ...jobs.flatMap((job) => job.warnings.map((warning) => `Note: ${job.title}: ${warning}`)),
    ...(skipped.length > 0 ? [`Skipped ${skipped.length} files that are no documents.`] : []),
    summary,
  ])
  if (failed.length > 0 || refused.length > 0) process.exitCode = EXIT.failed
}

async function libraryFor(system: Connection, options: IngestOptions): Promise<Library> {
  const known = await lookForLibrary(system, options.library)
  if (known) return known
  if (!options.libraryType) {
    throw new CommandError(
      `There is no library ${JSON.stringify(options.library)}. To make it, say what it holds with --library-type (${LIBRARY_TYPES.join(', ')}).`,
    )
  }
  return system.library.libraries.create({ name: options.library, library_type: options.libraryType })
}

async function collectionFor(system: Connection, library_uid: string, name: string): Promise<string> {
  const known = await lookForCollection(system, library_uid, name)
  return (known ?? (await system.library.collections.create({ library_uid, name }))).uid
}

async function lookForCollection(
  system: Connection,
  library_uid: string,
  name: string,
): Promise<Collection | undefined> {
  for (let offset = 0; ; offset += PAGE) {
    const { body, headers } = await system.library.collections.list({ library_uid, limit: PAGE, offset })
    const known = body.find((collection) => collection.name === name || collection.uid === name)
    if (known || offset + PAGE >= Number(headers['x-total-count'])) return known
  }
}
