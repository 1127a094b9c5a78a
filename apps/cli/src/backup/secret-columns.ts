import type { Row } from './line-files.ts'
import type { Secrets } from './manifest.ts'
import type { Place, Seal, Unseal } from './sealing.ts'

/** Stands in a secret column for a secret that is gone. */
const GONE = ''

/**
 * The rows with their secrets sealed or, without `seal`, without those columns. Counts the values; a row that has no
 * secret stays as it is. `table` is `schema.table`.
 */
export async function* withoutSecrets(
  pages: AsyncIterable<readonly Row[]>,
  table: string,
  secrets: Secrets,
  seal: Seal | undefined,
): AsyncGenerator<Row[]> {
  for await (const rows of pages) {
    yield rows.map((row) => {
      const safe = { ...row }
      for (const column of secrets.columns) {
        if (row[column] === GONE || row[column] === null) continue
        secrets.values++
        if (seal) safe[column] = { sealed: seal(row[column], placeOf(row, table, secrets, column)) }
        else delete safe[column]
      }
      return safe
    })
  }
}

/** A row of {@link withoutSecrets} as it goes into a database: `''` where its secret was left out or stays sealed. */
export function withSecrets(row: Row, table: string, secrets: Secrets, unseal: Unseal | undefined): Row {
  const whole = { ...row }
  for (const column of secrets.columns) {
    const value = row[column]
    if (!Object.hasOwn(row, column)) whole[column] = GONE
    else if (isSealed(value))
      whole[column] = unseal ? unseal(value.sealed, placeOf(row, table, secrets, column)) : GONE
  }
  return whole
}

function placeOf(row: Row, table: string, { key }: Secrets, column: string): Place {
  return { table, key: key.map((name) => row[name]), column }
}

const isSealed = (value: unknown): value is { sealed: string } =>
  typeof value === 'object' && value !== null && 'sealed' in value && typeof value.sealed === 'string'
