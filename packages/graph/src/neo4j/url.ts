import { InvalidGraphUrlError } from '../errors.ts'

/** Where a Neo4j is, and as whom to come. */
export interface Neo4jAddress {
  /** Scheme, host and port: all that may be shown. */
  url: string
  user: string
  password: string
}

const SCHEMES = /^(bolt|neo4j)(\+s|\+ssc)?:$/

/**
 * Reads `bolt://USER:PASSWORD@HOST:7687`; also `neo4j://`, and `+s` or `+ssc` for TLS. User and password are
 * percent-encoded.
 * @throws InvalidGraphUrlError, which never quotes the URL.
 */
export function parseNeo4jUrl(text: string): Neo4jAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !SCHEMES.test(url.protocol)) {
    throw new InvalidGraphUrlError('It has to begin with bolt:// or neo4j:// (with +s for TLS).')
  }
  if (url.hostname === '') throw new InvalidGraphUrlError('It names no host.')
  if (url.username === '' || url.password === '') {
    throw new InvalidGraphUrlError('It has to hold a user and a password.')
  }
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    throw new InvalidGraphUrlError('Nothing may stand behind the port.')
  }
  return {
    url: `${url.protocol}//${url.hostname}:${url.port || 7687}`,
    user: decoded(url.username),
    password: decoded(url.password),
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new InvalidGraphUrlError('User and password have to be percent-encoded.')
  }
}
