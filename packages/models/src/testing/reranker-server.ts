import { type ModelServer, type ModelServerOptions, startModelServer } from './model-server.ts'

export interface RerankerServerOptions extends ModelServerOptions {
  /** By default the share of the query's words that stand in the document. */
  score?: (query: string, document: string, instruction: string | undefined) => number
}

export interface Result {
  index: number
  relevance_score: unknown
}

interface Question {
  query: string
  top_n: number | undefined
  instruction: string | undefined
}

/** What it was asked: `texts` are the documents. */
export type RerankerServer = ModelServer<Question, Result>

/** A small server of the re-ranking protocol, `POST /v1/rerank`, for tests and measurements; the best stands first. */
export function startRerankerServer(options: RerankerServerOptions = {}): Promise<RerankerServer> {
  const { score = sharedWords } = options
  return startModelServer(
    {
      path: '/v1/rerank',
      read: ({ documents, model, query, top_n, instruction }: Body) => ({
        texts: documents,
        model,
        query,
        top_n,
        instruction,
      }),
      items: async ({ texts, query, instruction, top_n }) =>
        texts
          .map((text, index) => ({ index, relevance_score: score(query, text, instruction) }))
          .sort((a, b) => b.relevance_score - a.relevance_score)
          .slice(0, top_n) as Result[],
      reply: (results, { model }) => ({ model, results }),
    },
    options,
  )
}

interface Body {
  documents: string[]
  model: string
  query: string
  top_n?: number
  instruction?: string
}

function sharedWords(query: string, document: string): number {
  const words = wordsOf(query)
  const present = wordsOf(document)
  return words.size === 0 ? 0 : [...words].filter((word) => present.has(word)).length / words.size
}

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [])
}
