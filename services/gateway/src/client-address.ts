import { BlockList } from 'node:net'
import { canonicalAddress, PEER_HEADER } from '@mnemosyne/platform'

/** The address of the client who sent a request with these headers; null when nobody told it. */
export type ClientAddress = (headers: Headers) => string | null

/**
 * Who is connected is the client, unless they are one of `trusted` (addresses and networks): then the client is whom
 * `X-Forwarded-For` names last who is none of them. What anybody else writes there is a claim, and counts for nothing.
 */
export function createClientAddress(trusted: readonly string[]): ClientAddress {
  const proxies = blockListOf(trusted)
  const isTrusted = (address: string) => proxies.check(address, familyOf(address))
  return (headers) => {
    let client = canonicalAddress(headers.get(PEER_HEADER) ?? '')
    if (client === undefined) return null
    const hops = (headers.get('x-forwarded-for') ?? '').split(',').reverse()
    for (const hop of hops) {
      if (!isTrusted(client)) break
      const address = canonicalAddress(withoutPort(hop.trim()))
      if (address === undefined) break
      client = address
    }
    return client
  }
}

/** Whether a text is an address, or a network such as `10.0.0.0/8`. */
export function isAddressOrNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const canonical = canonicalAddress(address)
  if (canonical === undefined || rest.length > 0) return false
  const longest = familyOf(canonical) === 'ipv4' ? 32 : 128
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= longest)
}

function blockListOf(entries: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of entries) {
    const [text = '', prefix] = entry.split('/')
    const address = canonicalAddress(text) ?? text
    if (prefix === undefined) list.addAddress(address, familyOf(address))
    else list.addSubnet(address, Number(prefix), familyOf(address))
  }
  return list
}

const familyOf = (address: string) => (address.includes(':') ? 'ipv6' : 'ipv4')

/** `192.0.2.1:4711` and `[2001:db8::1]:4711`, as some proxies write. */
function withoutPort(hop: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1]
  return bracketed ?? hop.replace(/^([\d.]+):\d+$/, '$1')
}
