import type { GraphStore, ItemContent, ItemNode, StoredItem } from '@mnemosyne/graph'
import type { Clock, Logger } from '@mnemosyne/platform'
import type { ProcessingResult } from '../processing/processor.ts'
import type { JobRow } from '../store/tables.ts'
import type { EmbeddedChunk } from './embed-chunks.ts'
import { originalKey } from './fetch-source.ts'

/** The item as the job's row has it. */
export function itemNode(
  { clock }: { clock: Clock },
  row: JobRow,
  embedding_status: ItemNode['embedding_status'],
  known: StoredItem | null,
): ItemNode {
  return {
    uid: row.item_uid,
    library_uid: row.library_uid,
    collection_uid: row.collection_uid,
    title: row.title,
    item_type: 'document',
    content_hash: row.content_hash,
    source: row.source,
    source_ref: row.source_ref,
    embedding_status,
    error: row.error,
    created_at: known?.created_at ?? row.created_at,
    updated_at: clock().toISOString(),
    ...fileOf(known && known.version > 0 ? known : { ...row, s3_key: originalKey(row), metadata: {} }),
  }
}

/** What describes the file: until its content is swapped in, that of the version which is there. */
function fileOf({
  file_type,
  file_size,
  s3_key,
  metadata,
}: Pick<ItemNode, 'file_type' | 'file_size' | 's3_key' | 'metadata'>) {
  return { file_type, file_size, s3_key, metadata }
}

/** Shows on the item that its newest version could not be taken in. The job's row is what counts. */
export async function markItemFailed(
  deps: { graph: Pick<GraphStore, 'getItem' | 'putItem'>; clock: Clock; log: Logger },
  row: JobRow,
): Promise<void> {
  try {
    const known = await deps.graph.getItem({ libraries: [row.library_uid] }, row.item_uid)
    if (known && known.version <= row.version) await deps.graph.putItem(itemNode(deps, row, 'failed', known))
  } catch (err) {
    deps.log.warn({ err, job_id: row.job_id }, 'item not marked as failed')
  }
}

/** What a job has made of its document, for the graph. */
export function itemContent(
  row: JobRow,
  made: Pick<ItemContent, 'embedding_model' | 'concepts' | 'updated_at'> & {
    document: ProcessingResult['document']
    chunks: EmbeddedChunk[]
  },
): ItemContent {
  const { document } = made
  return {
    item_uid: row.item_uid,
    library_uid: row.library_uid,
    version: row.version,
    title: row.title,
    content_hash: row.content_hash,
    embedding_model: made.embedding_model,
    file_type: row.file_type,
    file_size: row.file_size,
    s3_key: originalKey(row),
    metadata: {
      title: document.title,
      authors: document.authors,
      date: document.date,
      language: document.language,
      page_count: document.page_count,
    },
    updated_at: made.updated_at,
    chunks: made.chunks.map(({ chunk, embedding, embedding_key }) => ({
      ...chunk,
      page: chunk.page ?? null,
      embedding,
      embedding_key,
    })),
    concepts: made.concepts,
  }
}
