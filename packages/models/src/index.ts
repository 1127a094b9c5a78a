export {
  type EmbeddingConfig,
  embeddingVariables,
  type ModelState,
  type OpenConfiguredOptions,
  openConfiguredEmbedder,
} from './embedding-config.ts'
export {
  EndpointBusy,
  EndpointMisconfigured,
  EndpointRefused,
  EndpointReplyInvalid,
  EndpointUnavailable,
  InvalidEndpoint,
} from './endpoint/errors.ts'
export { type EndpointEmbedderOptions, openEndpointEmbedder } from './endpoint-embedder.ts'
export { type EndpointRerankerOptions, openEndpointReranker } from './endpoint-reranker.ts'
export {
  type FindModelOptions,
  findModel,
  type ModelProgress,
  type ModelSearch,
  modelCacheDir,
} from './find-model.ts'
export { type LocalEmbedderOptions, openLocalEmbedder } from './local-embedder.ts'
export { ModelError } from './model-error.ts'
export {
  type Embedder,
  EmbedderClosed,
  EmbedderCrashed,
  type EmbeddingModel,
  type EmbedOptions,
  ModelUnusable,
  type QueryOptions,
} from './port.ts'
export { openConfiguredReranker, type RerankerConfig, rerankerVariables } from './reranker-config.ts'
export type { Reranker, RerankOptions } from './reranker-port.ts'
export { openTokenizer, type TextTokenizer } from './tokenizer.ts'
