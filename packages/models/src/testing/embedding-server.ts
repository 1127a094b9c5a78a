import type { Embedder } from '../port.ts'
import { hashedVector } from './hashed-vectors.ts'
import { type ModelServer, type ModelServerOptions, startModelServer } from './model-server.ts'

export interface EmbeddingServerOptions extends ModelServerOptions {
  /** Whose vectors are served; without it `dimensions` hashed ones. */
  embedder?: Embedder
  dimensions?: number
}

export interface Item {
  object: 'embedding'
  index: number
  embedding: number[] | string
}

export type EmbeddingServer = ModelServer<{ dimensions: number | undefined }, Item>

/** A small server of OpenAI's protocol for embeddings, `POST /v1/embeddings`, for tests and measurements. */
export function startEmbeddingServer(options: EmbeddingServerOptions): Promise<EmbeddingServer> {
  async function vectorsOf(texts: string[], signal: AbortSignal): Promise<Float32Array[]> {
    const { embedder, dimensions = 384 } = options
    if (embedder) return embedder.embedPassages(texts, { signal })
    return texts.map((text) => hashedVector(text, dimensions))
  }

  return startModelServer(
    {
      path: '/v1/embeddings',
      read: ({ input, model, dimensions }: Body) => ({ texts: [input].flat(), model, dimensions }),
      items: async ({ texts }, signal) =>
        (await vectorsOf(texts, signal)).map(
          (vector, index): Item => ({ object: 'embedding', index, embedding: [...vector] }),
        ),
      reply: (data, { model }) => ({
        object: 'list',
        model,
        data,
        usage: { prompt_tokens: 0, total_tokens: 0 },
      }),
    },
    options,
  )
}

interface Body {
  input: string | string[]
  model: string
  dimensions?: number
}
