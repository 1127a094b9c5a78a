export { embedderContract } from './embedding-contract.ts'
export { modelForSuite, testModelDir } from './test-model.ts'
