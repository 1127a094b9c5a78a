import { IDENTITY_ROWS } from './identity-rows.ts'
import { LIBRARY_ROWS } from './library-rows.ts'
import type { OperationName } from './operations.ts'
import type { Way } from './way.ts'

/**
 * How each operation is asked for what, and which line of the tables of access it follows. An operation of the
 * contracts without a row is a type error.
 */
export const ROWS: Record<OperationName, readonly [Way, ...Way[]]> = { ...LIBRARY_ROWS, ...IDENTITY_ROWS }
