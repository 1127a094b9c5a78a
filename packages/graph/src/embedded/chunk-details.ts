import type { ChunkDetail } from '../port.ts'
import type { ChunkPlaces } from './chunk-places.ts'
import type { Database } from './database.ts'
import type { ResolvedScope } from './scope.ts'
import { BoundedMap, WhileUnchanged } from './while-unchanged.ts'

const ITEMS_REMEMBERED = 20_000

interface ChunkRow {
  id: number
  chunk_index: number
  text: string
  section_path: string
  page: number | null
  char_start: number
  char_end: number
  token_count: number
}

type ItemRow = Pick<
  ChunkDetail,
  'item_uid' | 'item_title' | 'library_uid' | 'library_name' | 'library_type' | 'collection_uid'
>

/** What an answer shows of chunks. Ask inside a snapshot. */
export class ChunkDetails {
  readonly #db: Database
  readonly #places: ChunkPlaces
  /** By row id: many chunks of an answer are of one item. */
  readonly #items: WhileUnchanged<BoundedMap<number, ItemRow>>

  constructor(db: Database, places: ChunkPlaces) {
    this.#db = db
    this.#places = places
    this.#items = new WhileUnchanged(db, () => new BoundedMap(ITEMS_REMEMBERED))
  }

  /** In the order asked, each once; of those that are not in the scope none. */
  of(scope: ResolvedScope, uids: string[]): ChunkDetail[] {
    const places = this.#places.inScope(scope, uids)
    const rows = this.#db.all<ChunkRow>(
      `SELECT chunks.id, chunk_index, text, section_path, page, char_start, char_end, token_count
       FROM json_each(?) AS asked CROSS JOIN chunks ON chunks.id = asked.value ORDER BY asked.key`,
      JSON.stringify(places.map(({ chunk }) => chunk)),
    )
    const items = this.#items.now
    return rows.map((row, index) => {
      const { uid, item } = places[index]!
      const { item_uid, item_title, library_uid, library_name, library_type, collection_uid } = items.obtain(
        item,
        () => this.#itemRow(item),
      )
      return {
        chunk_uid: uid,
        chunk_index: row.chunk_index,
        text: row.text,
        section_path: JSON.parse(row.section_path) as string[],
        page: row.page,
        char_start: row.char_start,
        char_end: row.char_end,
        token_count: row.token_count,
        ...{ item_uid, item_title, library_uid, library_name, library_type, collection_uid },
      }
    })
  }

  #itemRow(item: number): ItemRow {
    return this.#db.get<ItemRow>(
      `SELECT items.uid AS item_uid, items.title AS item_title, libraries.uid AS library_uid,
         libraries.name AS library_name, libraries.library_type, collections.uid AS collection_uid
       FROM items JOIN libraries ON libraries.id = items.library_id
       LEFT JOIN collections ON collections.id = items.collection_id WHERE items.id = ?`,
      item,
    )!
  }
}
