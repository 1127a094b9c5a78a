/** Base of everything that the graph store refuses or fails with. `code` is stable. */
export class GraphError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** The library does not exist, or is being deleted. */
export class LibraryGoneError extends GraphError {
  readonly uid: string

  constructor(uid: string) {
    super('library_gone', `Library ${uid} does not exist any more.`)
    this.uid = uid
  }
}

/** The item does not exist: deleted, or never put. */
export class ItemGoneError extends GraphError {
  readonly uid: string

  constructor(uid: string) {
    super('item_gone', `Item ${uid} does not exist any more.`)
    this.uid = uid
  }
}

/** The collection does not exist in the item's library. */
export class CollectionGoneError extends GraphError {
  readonly uid: string

  constructor(uid: string) {
    super('collection_gone', `Collection ${uid} does not exist in this library.`)
    this.uid = uid
  }
}

/** Another library is tied to the workspace. */
export class WorkspaceTakenError extends GraphError {
  readonly workspaceId: string

  constructor(workspaceId: string) {
    super('workspace_taken', `Workspace ${workspaceId} has a library already.`)
    this.workspaceId = workspaceId
  }
}

/** A vector's length differs from that of the vectors in the store. */
export class DimensionMismatchError extends GraphError {
  readonly expected: number
  readonly actual: number

  constructor(expected: number, actual: number) {
    super(
      'dimension_mismatch',
      `The store holds vectors of ${expected} dimensions and was given one of ${actual}. ` +
        'Use the embedding model that the store was filled with, or embed everything again.',
    )
    this.expected = expected
    this.actual = actual
  }
}

/** Content that breaks the port's promises (a vector with NaN, one chunk uid twice, …): a bug in the caller. */
export class InvalidContentError extends GraphError {
  constructor(message: string) {
    super('invalid_content', message)
  }
}

/** The disk or the allowed file size is full. What was being written is not stored. */
export class GraphFullError extends GraphError {
  constructor(options?: ErrorOptions) {
    super('graph_full', 'No space is left for the graph store. Free disk space and try again.', options)
  }
}

/** The file was written by a newer version of the program. */
export class NewerSchemaError extends GraphError {
  readonly found: number
  readonly known: number

  constructor(found: number, known: number) {
    super(
      'newer_schema',
      `The graph store was written by a newer version (schema ${found}, this program knows ${known}). ` +
        'Update the program, or restore a backup of the older version.',
    )
    this.found = found
    this.known = known
  }
}

/**
 * The store can't be used just now: a worker died (it is started again), the file can't be read or written, the server
 * can't be reached. Try again later.
 */
export class GraphUnavailableError extends GraphError {
  constructor(message: string, options?: ErrorOptions) {
    super('graph_unavailable', message, options)
  }
}

/** The address of the graph store can't be used. Never quotes it: it holds a password. */
export class InvalidGraphUrlError extends GraphError {
  constructor(fault: string) {
    super(
      'invalid_graph_url',
      `The URL of the graph store is not of the form bolt://USER:PASSWORD@HOST:7687. ${fault}`,
    )
  }
}

/** The store has been closed. */
export class GraphClosedError extends GraphError {
  constructor() {
    super('graph_closed', 'The graph store is closed.')
  }
}
