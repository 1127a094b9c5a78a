import { z } from 'zod'
import { InvalidEndpoint } from './errors.ts'
import type { EndpointKind } from './kind.ts'

/** Why `baseUrl` cannot be the root of an endpoint, in a few words; undefined when it can. */
function addressFault({ variables }: EndpointKind, baseUrl: string): string | undefined {
  if (!URL.canParse(baseUrl)) return 'must be an address such as http://host:8080/v1'
  const { protocol, username, password, search, hash } = new URL(baseUrl)
  if (protocol !== 'http:' && protocol !== 'https:') return 'must begin with http:// or https://'
  if (username || password) return `must hold no user and password; a key goes into ${variables}_API_KEY`
  if (search || hash) return 'must end with its path, without ? and #'
  return undefined
}

/** A variable that holds the root of an endpoint. */
export const endpointRoot = (kind: EndpointKind) =>
  z.string().superRefine((url, context) => {
    const fault = addressFault(kind, url)
    if (fault) context.addIssue({ code: 'custom', message: fault })
  })

/** `baseUrl` without slashes at its end, and what is asked there. */
export function endpointUrl({ path }: EndpointKind, baseUrl: string): URL {
  return new URL(`${baseUrl.replace(/\/+$/, '')}${path}`)
}

/** What may be wrong with an address at which nothing answers as an endpoint does; empty where nothing shows. */
export function addressHint({ path }: EndpointKind, url: URL): string {
  const root = url.href.slice(0, -path.length)
  if (/\/v1\/v1$/.test(root)) return `The address has /v1 twice. Set it to ${root.slice(0, -'/v1'.length)}.`
  if (root.endsWith(path)) {
    return `${path} is appended to the address. Set it to ${root.slice(0, -path.length)}.`
  }
  if (!/\/v\d+\w*(\/|$)/.test(url.pathname))
    return `The address has no /v1 at its end; most endpoints want ${root}/v1.`
  return ''
}

/** Throws `InvalidEndpoint` for options that cannot be right, whatever answers there. */
export function checkEndpoint(
  kind: EndpointKind,
  { baseUrl, model, apiKey }: { baseUrl: string; model: string; apiKey?: string | undefined },
): void {
  const fault = addressFault(kind, baseUrl)
  if (fault) throw new InvalidEndpoint(`The address of the ${kind.name} ${fault}.`)
  if (model === '') throw new InvalidEndpoint(`The ${kind.name} needs the name of a model.`)
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey))
    throw new InvalidEndpoint(`${kind.variables}_API_KEY holds characters that no key has.`)
}
