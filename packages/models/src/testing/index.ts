export { embedderContract } from './embedding-contract.ts'
export {
  type EmbeddingServer,
  type EmbeddingServerOptions,
  type Fault,
  startEmbeddingServer,
} from './embedding-server.ts'
export { modelForSuite, testModelDir } from './test-model.ts'
