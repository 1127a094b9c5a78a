import type { Compilable, CompiledQuery, Kysely } from 'kysely'

/** Stands for a value while a query is compiled. */
class Slot {
  readonly index: number

  constructor(index: number) {
    this.index = index
  }
}

/**
 * A read that is built and compiled once for each handle, which takes longer than to run it: for what every request
 * asks. `build` is given stand-ins for the values, and does nothing but bind them.
 */
export function prepared<DB, Values extends readonly unknown[], Row>(
  build: (db: Kysely<DB>, ...values: Values) => Compilable<Row>,
): (db: Kysely<DB>, ...values: Values) => Promise<Row[]> {
  const compiled = new WeakMap<Kysely<DB>, CompiledQuery>()
  const slots = Array.from({ length: build.length - 1 }, (_, index) => new Slot(index))
  return async (db, ...values) => {
    const query = compiled.get(db) ?? build(db, ...(slots as unknown as Values)).compile()
    compiled.set(db, query)
    const parameters = query.parameters.map((bound) => (bound instanceof Slot ? values[bound.index] : bound))
    return (await db.executeQuery<Row>({ ...query, parameters })).rows
  }
}
