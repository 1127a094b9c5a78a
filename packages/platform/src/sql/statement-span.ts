import type { CompiledQuery, OperationNode, TableNode } from 'kysely'
import { SpanKind, span } from '../telemetry.ts'
import type { SqlDialect } from './port.ts'

/** Where a database is, as attributes of spans: https://opentelemetry.io/docs/specs/semconv/db/. */
export type DatabasePlace = Record<string, string | number> & { 'db.system.name': 'sqlite' | 'postgresql' }

export function placeOf(dialect: SqlDialect, url: string, schema: string): DatabasePlace {
  if (dialect === 'sqlite') return { 'db.system.name': 'sqlite', 'db.namespace': schema }
  const { hostname, port, pathname } = new URL(url)
  return {
    'db.system.name': 'postgresql',
    'db.namespace': `${pathname.slice(1)}|${schema}`,
    'server.address': hostname,
    'server.port': Number(port || 5432),
  }
}

const OPERATIONS: Record<string, string> = {
  SelectQueryNode: 'SELECT',
  InsertQueryNode: 'INSERT',
  UpdateQueryNode: 'UPDATE',
  DeleteQueryNode: 'DELETE',
}

/** Runs a statement in a span that names its operation and its first table; never its text or what was bound. */
export function statementSpan<T>(
  { query }: CompiledQuery,
  place: DatabasePlace,
  work: () => Promise<T>,
): Promise<T> {
  const operation = OPERATIONS[query.kind]
  const table = operation && tableOf(query)
  const name = [operation, table].filter(Boolean).join(' ') || place['db.system.name']
  const attributes = {
    ...place,
    ...(operation && { 'db.operation.name': operation }),
    ...(table && { 'db.collection.name': table }),
  }
  return span(name, attributes, work, SpanKind.CLIENT)
}

function tableOf(query: OperationNode): string | undefined {
  const { from, into, table } = query as {
    from?: { froms: readonly OperationNode[] }
    into?: OperationNode
    table?: OperationNode
  }
  const named = from?.froms[0] ?? into ?? table
  const plain = named?.kind === 'AliasNode' ? (named as unknown as { node: OperationNode }).node : named
  return plain?.kind === 'TableNode' ? (plain as TableNode).table.identifier.name : undefined
}
