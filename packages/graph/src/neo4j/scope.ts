import type { Scope } from '../port.ts'
import type { Parameters } from './connection.ts'

/**
 * Beginning of a question: `libs`, the uids of the libraries in the scope that exist and are not being deleted.
 * Takes the parameters of {@link scopeParameters}.
 */
export function scopeStart({ libraries, library_type }: Scope): string {
  const ofType = library_type === undefined ? '' : 'AND lib.library_type = $scope_type'
  return libraries === 'all'
    ? `MATCH (lib:Library) WHERE lib.deleting IS NULL ${ofType} WITH collect(lib.uid) AS libs`
    : `MATCH (lib:Library) WHERE lib.uid IN $scope_libraries AND lib.deleting IS NULL ${ofType}
       WITH collect(lib.uid) AS libs`
}

export function scopeParameters({ libraries, library_type, collection }: Scope): Parameters {
  return {
    scope_libraries: libraries === 'all' ? null : libraries.map((uid) => uid.toWellFormed()),
    scope_type: library_type ?? null,
    scope_collection: collection?.toWellFormed() ?? null,
  }
}

/** Condition that a chunk or item lies in the scope. `libs` must be bound. */
export const inScope = (name: string) =>
  `${name}.library_uid IN libs AND ($scope_collection IS NULL OR ${name}.collection_uid = $scope_collection)`

/**
 * Continues with the chunks of `$uids` that lie in the scope and are part of present content: `c`, its item `i` and
 * the relationship `h`. The item's generation is read once, so that a swap shows as a whole.
 *
 * Where a store has few items, the planner would begin at them and look at every chunk of theirs for each uid: hence the
 * hint, and an item without its label.
 */
export const CHUNKS_ASKED = `UNWIND $uids AS uid
  MATCH (c:Chunk {uid: uid}) USING INDEX c:Chunk(uid) WHERE ${inScope('c')}
  MATCH (c)<-[:HAS_CHUNK]-(i)
  WITH DISTINCT libs, c, i
  WITH libs, c, i, i.gen AS gen
  MATCH (c)<-[h:HAS_CHUNK]-(i) WHERE h.gen = gen`

/** Each once, in the order asked, those that were found. */
export function inOrder<T>(uids: string[], found: Map<string, T>): T[] {
  return [...new Set(uids)].flatMap((uid) => {
    const one = found.get(uid)
    return one === undefined ? [] : [one]
  })
}
