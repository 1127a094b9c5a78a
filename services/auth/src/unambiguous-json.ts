const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/gs

/**
 * The object that `bytes` hold as JSON, or undefined: no UTF-8, no JSON, no object, or an object anywhere in it that
 * names a member twice. Readers differ on which of the two counts (RFC 8725, section 2.4), and JSON.parse hides it.
 */
export function readJsonObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value: unknown = JSON.parse(text)
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
    return namesAnythingTwice(text) ? undefined : (value as Record<string, unknown>)
  } catch {
    return undefined
  }
}

/** `json` is known to be well-formed. */
function namesAnythingTwice(json: string): boolean {
  const open: Set<string>[] = []
  let last = ''
  for (const [token] of json.matchAll(TOKENS)) {
    if (token === '{' || token === '[') open.push(new Set())
    else if (token === '}' || token === ']') open.pop()
    else if (token === ':') {
      const names = open.at(-1)!
      const name: string = JSON.parse(last)
      if (names.has(name)) return true
      names.add(name)
    }
    last = token
  }
  return false
}
