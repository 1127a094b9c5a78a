import { Neo4jError } from 'neo4j-driver'
import { GraphError, GraphFullError, GraphUnavailableError, InvalidContentError } from '../errors.ts'

/** A fault that goes away when the same is tried again: a deadlock, an entity that another transaction removed. */
export function isTransient(error: unknown): boolean {
  return (
    error instanceof Neo4jError &&
    !isOutOfMemory(error) &&
    (error.code.startsWith('Neo.TransientError.') ||
      error.code === 'Neo.ClientError.Statement.EntityNotFound')
  )
}

/** IF NOT EXISTS looks before it locks: of two that make the same at once one is told that it exists. */
export function isMadeAlready(error: unknown): boolean {
  return (
    error instanceof Neo4jError &&
    /^Neo\.ClientError\.Schema\.\w*(AlreadyExists|IndexNotFound|IndexDropFailed)$/.test(error.code)
  )
}

const AWAY = ['ServiceUnavailable', 'SessionExpired', 'N/A']
const REFUSED = /^Neo\.ClientError\.Security\./
const isOutOfMemory = ({ code }: Neo4jError) => /MemoryPool|OutOfMemory/.test(code)

/** The driver's and the server's errors in the words of the port. */
export function graphFailure(error: unknown): unknown {
  if (!(error instanceof Neo4jError)) return error
  const cause = { cause: error }
  if (/no space left on device|disk (space )?is full/i.test(error.message)) return new GraphFullError(cause)
  if (/value is too large to index/.test(error.message)) {
    return new InvalidContentError('A uid or key is longer than the graph store can index (8,000 bytes).')
  }
  if (REFUSED.test(error.code)) {
    return new GraphUnavailableError('The Neo4j server refuses the user or the password.', cause)
  }
  if (isOutOfMemory(error)) {
    return new GraphUnavailableError('The Neo4j server has too little memory for this.', cause)
  }
  if (AWAY.includes(error.code) || /DatabaseUnavailable|DatabaseNotFound/.test(error.code)) {
    return new GraphUnavailableError('The Neo4j server can not be reached.', cause)
  }
  if (isTransient(error) || /TransactionTimedOut|TransactionTerminated/.test(error.code)) {
    return new GraphUnavailableError('The Neo4j server could not do it in time; try again.', cause)
  }
  return new GraphError('graph_failed', `The Neo4j server failed (${error.code}).`, cause)
}
