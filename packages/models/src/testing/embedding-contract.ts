import type { Embedder } from '../port.ts'

/** What every adapter of the embedding port promises, as a vitest suite. */
export function embedderContract(_name: string, _open: () => Promise<Embedder>): void {
  throw new Error('not implemented')
}
