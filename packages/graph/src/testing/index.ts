export { type GraphContractOptions, graphContract, type OpenGraph } from './graph-contract.ts'
