import {
  type Embedder,
  findModel,
  type ModelSearch,
  modelCacheDir,
  openLocalEmbedder,
} from '@mnemosyne/models'
import type { Logger, Metrics } from '@mnemosyne/platform'
import type { Settings } from './settings.ts'

type Progress = NonNullable<Parameters<typeof findModel>[0]['onProgress']>

/** The embedding model of this process: running, or missing for a reason and with what to do about it. */
export type ModelState =
  | { embedder: Embedder & AsyncDisposable; dir: string; source: string }
  | { embedder: null; reason: string; whatToDo: string }

/** Finds the model (see `findModel`) and starts it. Without one the system works by full text and graph. */
export async function openModel(
  settings: Settings,
  options: { onProgress?: Progress; log: Logger; metrics: Metrics; signal?: AbortSignal },
): Promise<ModelState> {
  const found: ModelSearch = await findModel({
    modelDir: settings.MNEMOSYNE_MODEL_DIR,
    cacheDir: modelCacheDir(settings),
    hubUrl: settings.HF_ENDPOINT,
    onProgress: options.onProgress,
    log: options.log,
    signal: options.signal,
  })
  if (found.kind === 'missing') return { embedder: null, reason: found.reason, whatToDo: found.whatToDo }
  try {
    const { log, metrics } = options
    const embedder = await openLocalEmbedder({ modelDir: found.dir, log, metrics })
    return { embedder, dir: found.dir, source: found.source }
  } catch (error) {
    options.log.error({ err: error }, 'the embedding model could not be started')
    const reason = `The embedding model in ${found.dir} could not be started: ${(error as Error).message}`
    return {
      embedder: null,
      reason,
      whatToDo: 'Remove that folder so that it is fetched again, or set MNEMOSYNE_MODEL_DIR.',
    }
  }
}
