import { createHash } from 'node:crypto'

/** The uid of what these words name: always the same, so that requests at the same moment make one thing. */
export function derivedUid(words: string): string {
  const hex = createHash('sha256').update(words).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  )
}
