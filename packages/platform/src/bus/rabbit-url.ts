import type { Options } from 'amqplib'
import { InvalidBrokerUrl } from './port.ts'

const HINT =
  'Expected amqp://user:password@host:5672/vhost; characters such as / ? # % @ : in the user name, the password or the vhost have to be percent-encoded (# is %23)'

/**
 * The parts of an `amqp:` or `amqps:` URL, decoded. Parsed here and handed over in parts, so that no library
 * ever has the URL to print, and because WHATWG parsing would take `#` in a password for a fragment.
 * Throws `InvalidBrokerUrl`, whose message holds nothing of the URL.
 */
export function parseBrokerUrl(url: string): Options.Connect & { hostname: string; port: number } {
  const scheme = /^(amqps?):\/\//.exec(url)?.[1]
  if (!scheme) throw new InvalidBrokerUrl(`the broker's URL has to begin with amqp:// or amqps://. ${HINT}`)
  const rest = url.slice(scheme.length + 3)
  if (/[/?#]/.test(rest.slice(0, Math.max(0, rest.lastIndexOf('@')))))
    throw new InvalidBrokerUrl(`the broker's URL has a reserved character before its last @. ${HINT}`)
  try {
    const parts = new URL(`http://${rest}`)
    if (!parts.hostname || parts.search || parts.hash || parts.pathname.indexOf('/', 1) > 0) throw new Error()
    return {
      protocol: scheme,
      hostname: parts.hostname.replace(/^\[|\]$/g, ''),
      port: Number(parts.port) || defaultPort(scheme, rest),
      username: decodeURIComponent(parts.username) || 'guest',
      password: decodeURIComponent(parts.password) || 'guest',
      vhost: parts.pathname.slice(1) || '/',
    }
  } catch {
    // Not as the cause: the parser's error quotes the URL.
    throw new InvalidBrokerUrl(`the broker's URL can't be read. ${HINT}`)
  }
}

/** `http:` drops its own default port, which somebody may mean. */
function defaultPort(scheme: string, rest: string): number {
  if (/:80(\/|$)/.test(rest)) return 80
  return scheme === 'amqp' ? 5672 : 5671
}
