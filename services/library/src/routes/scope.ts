import type { Principal } from '@mnemosyne/contracts'
import type { Scope } from '@mnemosyne/graph'

/** What the principal may read, narrowed to a library or collection where one is asked for. */
export function readable(
  { resolved_libraries }: Principal,
  narrow: { library_uid?: string; collection_uid?: string } = {},
): Scope {
  const { library_uid, collection_uid } = narrow
  return {
    libraries:
      library_uid === undefined
        ? resolved_libraries
        : resolved_libraries.filter((library) => library === library_uid),
    ...(collection_uid !== undefined && { collection: collection_uid }),
  }
}
