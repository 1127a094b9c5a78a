import type { DeletionCounts } from './port.ts'

export function noCounts(): DeletionCounts {
  return {
    libraries: 0,
    collections: 0,
    items: 0,
    chunks: 0,
    images: 0,
    embeddings: 0,
    mentions: 0,
    concepts: 0,
  }
}

export function addCounts(total: DeletionCounts, more: DeletionCounts): void {
  for (const kind of Object.keys(total) as (keyof DeletionCounts)[]) total[kind] += more[kind]
}
