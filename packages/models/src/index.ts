export {
  type FindModelOptions,
  findModel,
  type ModelProgress,
  type ModelSearch,
  modelCacheDir,
} from './find-model.ts'
export { type LocalEmbedderOptions, openLocalEmbedder } from './local-embedder.ts'
export {
  type Embedder,
  EmbedderClosed,
  EmbedderCrashed,
  EmbeddingError,
  type EmbeddingModel,
  type EmbedOptions,
  ModelUnusable,
  type QueryOptions,
} from './port.ts'
export { openTokenizer, type TextTokenizer } from './tokenizer.ts'
