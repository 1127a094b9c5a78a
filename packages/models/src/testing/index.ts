export { embedderContract } from './embedding-contract.ts'
export {
  type EmbeddingServer,
  type EmbeddingServerOptions,
  startEmbeddingServer,
} from './embedding-server.ts'
export type { Fault } from './model-server.ts'
export {
  type RerankerServer,
  type RerankerServerOptions,
  type Result,
  startRerankerServer,
} from './reranker-server.ts'
export { modelForSuite, testModelDir } from './test-model.ts'
