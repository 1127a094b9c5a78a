export { embedderContract } from './embedding-contract.ts'
export { testModelDir } from './test-model.ts'
