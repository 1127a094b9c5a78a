export { graphContract, type OpenGraph } from './graph-contract.ts'
export {
  chunkContent,
  collectionNode,
  concept,
  itemContent,
  itemNode,
  libraryNode,
  store,
} from './graph-fixtures.ts'
