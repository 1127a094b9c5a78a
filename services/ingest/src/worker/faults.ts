import {
  CollectionGoneError,
  DimensionMismatchError,
  GraphClosedError,
  InvalidContentError,
} from '@mnemosyne/graph'
import { EmbedderClosed, ModelError } from '@mnemosyne/models'
import { DocumentError } from '../document/errors.ts'
import { PermanentFault } from '../errors.ts'
import { ProcessingFaultError } from '../processing/errors.ts'

/** Why no retry mends the fault, for whoever sent the file; undefined when it may pass. */
export function permanentReason(error: unknown): string | undefined {
  if (error instanceof PermanentFault || error instanceof DocumentError) return error.message
  if (error instanceof CollectionGoneError)
    return 'Its collection was deleted. Send the file again, into another collection or none.'
  if (error instanceof DimensionMismatchError)
    return (
      `The embedding model makes vectors of ${error.actual} dimensions, and those in the store have ${error.expected}. ` +
      'Start with the model that the store was filled with (EMBEDDING_MODEL, MNEMOSYNE_MODEL_DIR) and retry, ' +
      'or begin with an empty data folder.'
    )
  if (error instanceof ModelError && !error.retryable && !isClosing(error))
    return 'The embedding model refused a passage of the document; the log has the reason.'
  if (error instanceof InvalidContentError || error instanceof ProcessingFaultError)
    return 'The file could not be processed because of a fault in the server; the log has it.'
  return undefined
}

/** What the work stands on is being closed: not the job's fault. */
export function isClosing(error: unknown): boolean {
  return error instanceof GraphClosedError || error instanceof EmbedderClosed
}

const NO_SPACE = 'there is no space left'
const CAUSES: Record<string, string> = {
  ENOSPC: NO_SPACE,
  EDQUOT: NO_SPACE,
  BLOB_STORE_FULL: NO_SPACE,
  SQL_FULL: NO_SPACE,
  graph_full: NO_SPACE,
  SQL_UNAVAILABLE: 'the database did not answer',
  graph_unavailable: 'the graph store did not answer',
  library_gone: 'its library is not there',
  item_gone: 'its item is not there',
  embedder_crashed: 'the embedding model stopped while it worked',
  endpoint_unavailable: 'the endpoint of the embedding model did not answer',
  endpoint_busy: 'the endpoint of the embedding model had too much to do',
  endpoint_misconfigured:
    'the endpoint of the embedding model refused the request (look at EMBEDDING_BASE_URL, EMBEDDING_MODEL and EMBEDDING_API_KEY)',
  BLOB_STORE_UNAVAILABLE: 'the store of documents did not answer',
  BLOB_STORE_REFUSED: 'the store of documents refused the request (the log names the variable to look at)',
  processor_unavailable: 'the processes that read files did not start',
  SOURCE_NOT_CONFIGURED: 'the store of its source is not configured for this worker',
  EACCES: 'the file may not be read',
  EPERM: 'the file may not be read',
}

/** The cause of a fault that did not pass, in words that give no internals away. */
export function passingCause(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return CAUSES[code] ?? 'the log has the cause'
}
