import { about, ConfigError, type Logger, type Metrics, secret } from '@mnemosyne/platform'
import { z } from 'zod'
import { endpointRoot } from './endpoint/address.ts'
import { RERANKING } from './endpoint/kind.ts'
import { openEndpointReranker } from './endpoint-reranker.ts'
import type { Reranker } from './reranker-port.ts'

/** The variables that choose a re-ranker, to be spread into a service's own. */
export const rerankerVariables = {
  RERANKER_BASE_URL: about(
    endpointRoot(RERANKING).optional(),
    'root of an endpoint that answers POST /rerank, /v1 included; without it nothing is re-ranked',
  ),
  RERANKER_MODEL: about(z.string().optional(), "the endpoint's name for the re-ranking model"),
  RERANKER_API_KEY: secret(about(z.string().trim().optional(), 'key of that endpoint, where it wants one')),
  RERANKER_TIMEOUT: about(
    z.coerce.number().positive().max(600).default(30),
    'seconds after which an answer goes out in the order that it had before',
  ),
}
export type RerankerConfig = z.infer<z.ZodObject<typeof rerankerVariables>>

/**
 * The endpoint where `RERANKER_BASE_URL` is set, else null: search does without. Throws `ConfigError` without
 * `RERANKER_MODEL`.
 */
export function openConfiguredReranker(
  config: RerankerConfig,
  { log, metrics }: { log: Logger; metrics: Metrics },
): Reranker | null {
  const { RERANKER_BASE_URL: baseUrl, RERANKER_MODEL: model } = config
  if (!baseUrl) return null
  if (!model) {
    throw new ConfigError('the re-ranker', [
      'RERANKER_MODEL is missing; with RERANKER_BASE_URL set it names the model, for example bge-reranker-v2-m3',
    ])
  }
  const apiKey = config.RERANKER_API_KEY || undefined
  return openEndpointReranker({
    baseUrl,
    model,
    apiKey,
    timeoutMs: config.RERANKER_TIMEOUT * 1000,
    log,
    metrics,
  })
}
