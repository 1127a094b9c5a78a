import type { GraphStore } from '../port.ts'

export type OpenGraph = () => Promise<GraphStore>
export interface GraphContractOptions {
  open: OpenGraph
}
export function graphContract(_name: string, _options: GraphContractOptions): void {}
