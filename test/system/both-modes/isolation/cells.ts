/** A cell of a matrix whose answer is not the expected one. */
export interface Difference {
  asked: string
  relation: string
  caller: string
  expected: string
  got: string
}

export interface Outcome {
  cells: number
  differences: Difference[]
}

/** What a cell answered instead, or nothing when it answered as expected. */
export type Fault = Pick<Difference, 'expected' | 'got'> | undefined

const AT_ONCE = 8

/** Asks every cell, a few at a time. */
export async function askAll<T extends Pick<Difference, 'asked' | 'relation' | 'caller'>>(
  cells: readonly T[],
  faultOf: (cell: T) => Promise<Fault>,
): Promise<Outcome> {
  const differences: Difference[] = []
  let next = 0
  async function lane(): Promise<void> {
    for (let at = next++; at < cells.length; at = next++) {
      const cell = cells[at]!
      const fault = await faultOf(cell).catch((error: Error) => ({
        expected: 'an answer',
        got: error.message,
      }))
      const { asked, relation, caller } = cell
      if (fault) differences.push({ asked, relation, caller, ...fault })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return { cells: cells.length, differences }
}

const SHOWN = 500

/** All differences in one table, one a line. */
export function tableOf(differences: readonly Difference[]): string {
  const rows = differences.map(({ asked, relation, caller, expected, got }) =>
    [asked, relation, caller, `expected ${expected}`, `got ${got}`].map((text) =>
      text.replaceAll('\n', '⏎').slice(0, SHOWN),
    ),
  )
  const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) => row.map((text, column) => text.padEnd(Math.min(widths[column] ?? 0, 60))).join(' | '))
    .sort()
    .join('\n')
}
