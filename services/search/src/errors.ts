import { DomainError } from '@mnemosyne/platform/errors'

export const libraryNotFound = () => new DomainError('LIBRARY_NOT_FOUND', 'Library not found.')

export const collectionNotFound = () => new DomainError('COLLECTION_NOT_FOUND', 'Collection not found.')

export const chunkNotFound = () => new DomainError('CHUNK_NOT_FOUND', 'Chunk not found.')

export const itemNotFound = () => new DomainError('ITEM_NOT_FOUND', 'Item not found.')

export const itemWithoutPassages = (status: string) =>
  new DomainError(
    'ITEM_WITHOUT_PASSAGES',
    `The item has no passages that could be found. Its state is "${status}".`,
  )

/** There is nothing to rank, or no way to show it. */
export const searchUnavailable = (reasons: string[], cause?: unknown) =>
  new DomainError('SEARCH_UNAVAILABLE', `Nothing could be searched. ${reasons.join(' ')}`, { cause })

/** More is asked for than can be answered in good time. */
export const searchOverloaded = () =>
  new DomainError(
    'SEARCH_OVERLOADED',
    'Too many searches are being answered at this moment. Search again in a few seconds.',
    { retryAfterSeconds: 2 },
  )

/** The caller left before the answer. */
export const searchCancelled = (cause: unknown) =>
  new DomainError('SEARCH_CANCELLED', 'The request was cancelled.', { cause })

export const ERROR_STATUS: Record<string, number> = {
  LIBRARY_NOT_FOUND: 404,
  COLLECTION_NOT_FOUND: 404,
  CHUNK_NOT_FOUND: 404,
  ITEM_NOT_FOUND: 404,
  ITEM_WITHOUT_PASSAGES: 409,
  SEARCH_CANCELLED: 499,
  SEARCH_UNAVAILABLE: 503,
  SEARCH_OVERLOADED: 503,
}
