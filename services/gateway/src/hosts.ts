/** Whether `host` (a Host header, port or not) is one of `allowed`; undefined or `*` allows any. */
export function hostAllowed(host: string, allowed: readonly string[] | undefined): boolean {
  if (!allowed || allowed.includes('*')) return true
  const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
  return allowed.some((entry) =>
    entry.startsWith('.') ? name === entry.slice(1) || name.endsWith(entry) : name === entry,
  )
}
