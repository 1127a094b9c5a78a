import type { Logger, Metrics } from '@mnemosyne/platform'
import type { Embedder } from './port.ts'

export interface LocalEmbedderOptions {
  /** Folder with an ONNX model and its tokenizer, as `findModel` returns it. */
  modelDir: string
  /** Cores that the model may keep busy; by default as many as the machine has, at most 4. */
  threads?: number
  log: Logger
  metrics: Metrics
}

/**
 * An embedder that runs an ONNX model in worker threads of this process.
 * Resolves when the model is loaded and has answered once; rejects with `ModelUnusable`.
 */
export async function openLocalEmbedder(_options: LocalEmbedderOptions): Promise<Embedder> {
  throw new Error('not implemented')
}
