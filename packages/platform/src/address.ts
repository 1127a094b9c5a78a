import { isIP } from 'node:net'

/**
 * An IP address in the one form in which it compares as text: IPv6 compressed and in lower case (RFC 5952), without
 * its zone; an IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) as IPv4. Undefined for anything else.
 */
export function canonicalAddress(text: string): string | undefined {
  const [address = ''] = text.split('%', 1)
  if (isIP(address) === 4) return address
  if (isIP(address) === 0) return undefined
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical)
  if (!mapped) return canonical
  const bits = Number.parseInt(mapped[1]!, 16) * 0x10000 + Number.parseInt(mapped[2]!, 16)
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.')
}

/**
 * Whom an address stands for when somebody is counted by it: one who has an IPv6 address has all of its /64.
 * `2001:db8:1:2::7` → `2001:db8:1:2::/64`. What is no address stands for itself.
 */
export function addressBlock(address: string): string {
  const canonical = canonicalAddress(address)
  if (!canonical?.includes(':')) return canonical ?? address
  const [front = '', back = ''] = canonical.split('::')
  const head = front === '' ? [] : front.split(':')
  const tail = back === '' ? [] : back.split(':')
  const zeros = Array<string>(8 - head.length - tail.length).fill('0')
  const network = [...head, ...zeros, ...tail].slice(0, 4).join(':')
  return `${new URL(`http://[${network}::]`).hostname.slice(1, -1)}/64`
}
