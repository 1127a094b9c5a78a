/** Why `baseUrl` cannot be the root of an endpoint, in a few words; undefined when it can. */
export function addressFault(baseUrl: string): string | undefined {
  if (!URL.canParse(baseUrl)) return 'must be an address such as http://host:8080/v1'
  const { protocol, username, password, search, hash } = new URL(baseUrl)
  if (protocol !== 'http:' && protocol !== 'https:') return 'must begin with http:// or https://'
  if (username || password) return 'must hold no user and password; a key goes into EMBEDDING_API_KEY'
  if (search || hash) return 'must end with its path, without ? and #'
  return undefined
}

/** `baseUrl` without slashes at its end, and `/embeddings`. */
export function embeddingsUrl(baseUrl: string): URL {
  return new URL(`${baseUrl.replace(/\/+$/, '')}/embeddings`)
}

/** What may be wrong with an address at which nothing answers as an endpoint does; empty where nothing shows. */
export function addressHint(url: URL): string {
  const root = url.href.slice(0, -'/embeddings'.length)
  if (/\/v1\/v1$/.test(root)) return `The address has /v1 twice. Set it to ${root.slice(0, -'/v1'.length)}.`
  if (root.endsWith('/embeddings')) {
    return `/embeddings is appended to the address. Set it to ${root.slice(0, -'/embeddings'.length)}.`
  }
  if (!/\/v\d+\w*(\/|$)/.test(url.pathname))
    return `The address has no /v1 at its end; most endpoints want ${root}/v1.`
  return ''
}
