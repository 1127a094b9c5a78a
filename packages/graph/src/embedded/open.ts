import type { Clock, Logger, Metrics } from '@mnemosyne/platform'
import type { GraphStore } from '../port.ts'

export interface EmbeddedGraphOptions {
  /** Path of the SQLite file; made if missing. */
  file: string
  log: Logger
  metrics: Metrics
  clock: Clock
}

export async function openEmbeddedGraph(_options: EmbeddedGraphOptions): Promise<GraphStore> {
  throw new Error('not written yet')
}
