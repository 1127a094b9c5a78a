import { GOLDEN_QUERIES_MAX } from '@mnemosyne/contracts'
import {
  CollectionGoneError,
  GraphError,
  ItemGoneError,
  LibraryGoneError,
  WorkspaceTakenError,
} from '@mnemosyne/graph'
import { DomainError } from '@mnemosyne/platform'

export type Kind = 'Workspace' | 'Library' | 'Collection' | 'Item' | 'Chunk' | 'Golden query'

/** There is none, or it is someone else's: the words are the same. */
export class NotFoundError extends DomainError {
  readonly kind: Kind

  constructor(kind: Kind, options?: ErrorOptions) {
    super('NOT_FOUND', `${kind} not found.`, options)
    this.name = 'NotFoundError'
    this.kind = kind
  }
}

/** The caller may see it, but not do this with it. */
export class NotAllowedError extends DomainError {
  constructor(message: string) {
    super('NOT_ALLOWED', message)
    this.name = 'NotAllowedError'
  }
}

export class LibraryTypeFrozenError extends DomainError {
  constructor(workspaceId: string, libraryType: string) {
    super(
      'LIBRARY_TYPE_FROZEN',
      `Workspace ${workspaceId} has the library type ${libraryType}, which can't be changed. ` +
        'Delete the workspace to make it anew with another type.',
    )
    this.name = 'LibraryTypeFrozenError'
  }
}

/** A deletion of the workspace is not through yet, or it is deleted and made again all the time. */
export class WorkspaceBusyError extends DomainError {
  constructor(options?: ErrorOptions) {
    super('WORKSPACE_BUSY', 'The workspace is being deleted just now. Try again.', options)
    this.name = 'WorkspaceBusyError'
  }
}

/** The auth service did not record the owner's membership. */
export class OwnerNotRecordedError extends DomainError {
  constructor(options?: ErrorOptions) {
    super('OWNER_NOT_RECORDED', "The library's owner could not be recorded just now. Try again.", options)
    this.name = 'OwnerNotRecordedError'
  }
}

/** Somebody else was quicker: what the caller may still do is another question. */
export class HandedOverMeanwhileError extends DomainError {
  constructor() {
    super('HANDED_OVER_MEANWHILE', 'The library has just been handed over. Look whose it is, and try again.')
    this.name = 'HandedOverMeanwhileError'
  }
}

export class TooManyGoldenQueriesError extends DomainError {
  constructor() {
    super(
      'TOO_MANY_GOLDEN_QUERIES',
      `A library has at most ${GOLDEN_QUERIES_MAX} golden queries. Delete some first.`,
    )
    this.name = 'TooManyGoldenQueriesError'
  }
}

export class NoGoldenQueriesError extends DomainError {
  constructor() {
    super('NO_GOLDEN_QUERIES', 'The library has no golden queries: add some first.')
    this.name = 'NoGoldenQueriesError'
  }
}

/** Search is away, overloaded, or does not take us. What was found until then is kept. */
export class SearchUnavailableError extends DomainError {
  constructor(options?: ErrorOptions) {
    super(
      'SEARCH_UNAVAILABLE',
      "Search can't be asked just now. Try again: the replay goes on where it was.",
      options,
    )
    this.name = 'SearchUnavailableError'
  }
}

/** The caller left before the answer: nobody sees it but the log. */
export class ReplayCancelledError extends DomainError {
  constructor(options?: ErrorOptions) {
    super('REPLAY_CANCELLED', 'The request was cancelled.', options)
    this.name = 'ReplayCancelledError'
  }
}

export const errorStatus: Record<string, number> = {
  NOT_FOUND: 404,
  NOT_ALLOWED: 403,
  LIBRARY_TYPE_FROZEN: 409,
  WORKSPACE_BUSY: 409,
  HANDED_OVER_MEANWHILE: 409,
  TOO_MANY_GOLDEN_QUERIES: 409,
  NO_GOLDEN_QUERIES: 409,
  SEARCH_UNAVAILABLE: 503,
  REPLAY_CANCELLED: 499,
  OWNER_NOT_RECORDED: 503,
  GRAPH_UNAVAILABLE: 503,
  GRAPH_FULL: 507,
  SQL_UNAVAILABLE: 503,
  SQL_FULL: 507,
}

/** What an error of the graph store means to the caller; any other error as it is. */
export function explainGraphError(error: unknown): unknown {
  if (error instanceof LibraryGoneError) return new NotFoundError('Library', { cause: error })
  if (error instanceof CollectionGoneError) return new NotFoundError('Collection', { cause: error })
  if (error instanceof ItemGoneError) return new NotFoundError('Item', { cause: error })
  if (error instanceof WorkspaceTakenError) return new WorkspaceBusyError({ cause: error })
  if (!(error instanceof GraphError)) return error
  if (error.code === 'graph_full') return new DomainError('GRAPH_FULL', error.message, { cause: error })
  if (error.code === 'graph_unavailable' || error.code === 'graph_closed') {
    return new DomainError('GRAPH_UNAVAILABLE', "The knowledge graph can't be reached just now. Try again.", {
      cause: error,
    })
  }
  return error
}
