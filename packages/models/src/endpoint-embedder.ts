import type { Metrics } from '@mnemosyne/platform'
import { approximateTokens } from './approximate-tokens.ts'
import { observeEmbedding } from './embedding-metrics.ts'
import { checkEndpoint } from './endpoint/address.ts'
import { Endpoint, type EndpointOptions } from './endpoint/endpoint.ts'
import { type Forms, formsOf, revisionOf } from './endpoint/forms.ts'
import { EMBEDDING } from './endpoint/kind.ts'
import { familyOf, type Instructions, type ModelFamily } from './endpoint/model-family.ts'
import type { Embedder, EmbeddingModel } from './port.ts'
import { QueryCache, queryKey } from './query-cache.ts'
import { openTokenizer } from './tokenizer.ts'

export interface EndpointEmbedderOptions extends EndpointOptions {
  /** What a library type's instruction goes before. By default what the model's name tells, as the next three. */
  instructions?: Instructions
  maxTokens?: number
  queryPrefix?: string
  passagePrefix?: string
  /** Folder with the model's `tokenizer.json`; without one tokens are estimated. */
  tokenizerDir?: string
  /** Aborts the opening. */
  signal?: AbortSignal
}

const CACHED_QUERIES = 2_000

/**
 * An embedder that asks an endpoint of OpenAI's protocol for embeddings.
 *
 * With `dimensions` it resolves at once, whether the endpoint is up or not: while it is down, calls reject with
 * `EndpointUnavailable` (retryable), and they work again when it is back, without a restart. Without `dimensions` one
 * request asks for them first, and opening rejects when that fails: callers try again while `retryable` says so.
 *
 * Passing faults (no connection, 5xx, 429) are tried again a few times inside of a call; all errors are those of
 * `endpoint/errors.ts`. Rejects with `InvalidEndpoint` for an address, key or model name that cannot be right,
 * and with `ModelUnusable` for a folder without a tokenizer.
 */
export async function openEndpointEmbedder(
  options: EndpointEmbedderOptions,
): Promise<Embedder & AsyncDisposable> {
  const { model: name, log, metrics, tokenizerDir } = options
  checkEndpoint(EMBEDDING, options)
  const countTokens = tokenizerDir ? openTokenizer(tokenizerDir).count : approximateTokens
  const endpoint = new Endpoint(options)
  const forms = formsOf(familyWith(options), countTokens)
  try {
    const dimensions =
      options.dimensions ?? (await endpoint.askDimensions(forms.query('dimensions'), options.signal))
    const { maxTokens, instructions } = forms.family
    const takesInstructions = instructions !== 'none'
    const revision = revisionOf(name, dimensions, forms.family)
    const model: EmbeddingModel = { name, dimensions, maxTokens, revision, takesInstructions }
    const { host } = endpoint.url
    log.info({ model: name, host, dimensions, maxTokens, instructions }, `${EMBEDDING.name} in use`)
    return embedderOver(endpoint, model, forms, countTokens, metrics)
  } catch (error) {
    await endpoint.close()
    throw error
  }
}

function embedderOver(
  endpoint: Endpoint,
  model: EmbeddingModel,
  forms: Forms,
  countTokens: (text: string) => number,
  metrics: Metrics,
): Embedder & AsyncDisposable {
  const cache = new QueryCache(CACHED_QUERIES)
  const observe = observeEmbedding(metrics, {
    name: model.name,
    server: endpoint.server,
    queueLength: () => endpoint.queueLength,
  })
  return {
    model,

    async embedPassages(passages, { instruction, signal } = {}) {
      const texts = passages.map((passage) => forms.passage(passage, instruction))
      return observe('passages', passages.length, () => endpoint.embedPassages(texts, signal))
    },

    async embedQuery(query, { instruction, signal, timeoutMs, cache: useCache = true } = {}) {
      signal?.throwIfAborted()
      const text = forms.query(query, instruction)
      const key = queryKey(model, text, instruction)
      const known = useCache ? cache.get(key) : undefined
      if (useCache) observe.cache(known ? 'hit' : 'miss')
      if (known) return known
      const vector = await observe('query', 1, () => endpoint.embedQuery(text, { signal, timeoutMs }))
      if (useCache) cache.set(key, vector)
      return vector
    },

    async countTokens(texts) {
      return observe('count', texts.length, async () => texts.map(countTokens))
    },

    ping: () => endpoint.ping(forms.query('ping')),
    close: () => endpoint.close(),
    [Symbol.asyncDispose]: () => endpoint.close(),
  }
}

function familyWith(options: EndpointEmbedderOptions): ModelFamily {
  const family = familyOf(options.model)
  const { instructions, maxTokens, queryPrefix, passagePrefix } = options
  return {
    instructions: instructions ?? family.instructions,
    maxTokens: maxTokens ?? family.maxTokens,
    queryPrefix: queryPrefix ?? family.queryPrefix,
    passagePrefix: passagePrefix ?? family.passagePrefix,
  }
}
