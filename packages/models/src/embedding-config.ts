import { about, ConfigError, Count, type Logger, type Metrics, secret } from '@mnemosyne/platform'
import { z } from 'zod'
import { endpointRoot } from './endpoint/address.ts'
import { EMBEDDING } from './endpoint/kind.ts'
import { openEndpointEmbedder } from './endpoint-embedder.ts'
import { findModel, type ModelProgress, modelCacheDir } from './find-model.ts'
import { openLocalEmbedder } from './local-embedder.ts'
import type { Embedder } from './port.ts'

/** The variables that choose an embedding model, to be spread into a service's own. */
export const embeddingVariables = {
  EMBEDDING_BASE_URL: about(
    endpointRoot(EMBEDDING).optional(),
    'root of an OpenAI-compatible endpoint for embeddings, /v1 included; without it a local model is used',
  ),
  EMBEDDING_MODEL: about(z.string().optional(), "the endpoint's name for the embedding model"),
  EMBEDDING_API_KEY: secret(about(z.string().trim().optional(), 'key of that endpoint, where it wants one')),
  EMBEDDING_DIMENSIONS: about(
    Count.max(16_384).optional(),
    'length of the vectors; without it the endpoint is asked, and has to be up at the start',
  ),
  EMBEDDING_TIMEOUT: about(
    z.coerce.number().positive().max(3_600).default(120),
    'seconds that one request to that endpoint may take',
  ),
  EMBEDDING_INSTRUCTIONS: about(
    z.enum(['none', 'queries', 'both']).optional(),
    "what a library type's instruction goes before, queries or passages too; default by the model's name",
  ),
  EMBEDDING_TOKENIZER_DIR: about(
    z.string().optional(),
    "folder with the tokenizer.json of the endpoint's model; without it tokens are estimated",
  ),
  MNEMOSYNE_MODEL_DIR: about(z.string().optional(), 'a folder with another local ONNX embedding model'),
  MNEMOSYNE_CACHE_DIR: about(
    z.string().optional(),
    'where downloaded models are kept; default ~/.cache/mnemosyne',
  ),
  HF_ENDPOINT: about(z.string().optional(), 'another address of the Hugging Face hub'),
}
export type EmbeddingConfig = z.infer<z.ZodObject<typeof embeddingVariables>>

/** The embedding model of a process: running, or missing for a reason and with what to do about it. */
export type ModelState =
  | {
      embedder: Embedder & AsyncDisposable
      source: 'endpoint' | 'folder' | 'cache' | 'hub' | 'maven'
      /** Folder with the model's tokenizer, for counting in other processes; an endpoint may have none. */
      tokenizerDir: string | undefined
    }
  | { embedder: null; reason: string; whatToDo: string }

export interface OpenConfiguredOptions {
  log: Logger
  metrics: Metrics
  /** Texts in one request to an endpoint, at most; see `EMBEDDING_BATCH_SIZE` of ingest. */
  batchSize?: number
  /** Of the download of a local model. */
  onProgress?: (progress: ModelProgress) => void
  signal?: AbortSignal
}

/**
 * Opens the endpoint where `EMBEDDING_BASE_URL` is set, and else finds and starts the local model.
 *
 * Without a local model the system works by full text and graph: that is an answer and no error. An endpoint is a
 * choice: no other model takes its place. Rejects with `ConfigError` without `EMBEDDING_MODEL`; with a retryable
 * `ModelError` when the endpoint has to be asked for the dimensions and does not answer, and then nothing is left
 * open: call again.
 */
export async function openConfiguredEmbedder(
  config: EmbeddingConfig,
  options: OpenConfiguredOptions,
): Promise<ModelState> {
  const { EMBEDDING_BASE_URL: baseUrl, EMBEDDING_MODEL: model } = config
  if (!baseUrl) return openLocal(config, options)
  if (!model) {
    throw new ConfigError('the embedding model', [
      'EMBEDDING_MODEL is missing; with EMBEDDING_BASE_URL set it names the model, for example text-embedding-3-small',
    ])
  }
  const { log, metrics, batchSize, signal } = options
  const tokenizerDir = config.EMBEDDING_TOKENIZER_DIR
  const embedder = await openEndpointEmbedder({
    baseUrl,
    model,
    apiKey: config.EMBEDDING_API_KEY || undefined,
    dimensions: config.EMBEDDING_DIMENSIONS,
    timeoutMs: config.EMBEDDING_TIMEOUT * 1000,
    instructions: config.EMBEDDING_INSTRUCTIONS,
    batchSize,
    tokenizerDir,
    log,
    metrics,
    signal,
  })
  return { embedder, source: 'endpoint', tokenizerDir }
}

async function openLocal(config: EmbeddingConfig, options: OpenConfiguredOptions): Promise<ModelState> {
  const { onProgress, log, metrics, signal } = options
  const found = await findModel({
    modelDir: config.MNEMOSYNE_MODEL_DIR,
    cacheDir: modelCacheDir(config),
    hubUrl: config.HF_ENDPOINT,
    onProgress,
    log,
    signal,
  })
  if (found.kind === 'missing') return { embedder: null, reason: found.reason, whatToDo: found.whatToDo }
  const { dir, source } = found
  try {
    const embedder = await openLocalEmbedder({ modelDir: dir, log, metrics })
    return { embedder, source, tokenizerDir: dir }
  } catch (error) {
    log.error({ err: error }, 'the embedding model could not be started')
    return {
      embedder: null,
      reason: `The embedding model in ${dir} could not be started: ${(error as Error).message}`,
      whatToDo: 'Remove that folder so that it is fetched again, or set MNEMOSYNE_MODEL_DIR.',
    }
  }
}
