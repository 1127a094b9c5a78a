/** What an endpoint is for: how it is called in errors and log lines, and what belongs to its address. */
export interface EndpointKind {
  name: string
  /** Appended to the root. */
  path: string
  /** With what the names of its variables begin. */
  variables: string
  /** With what the names of its metrics begin. */
  metrics: string
}

export const EMBEDDING: EndpointKind = {
  name: 'embedding endpoint',
  path: '/embeddings',
  variables: 'EMBEDDING',
  metrics: 'mnemosyne_embedding',
}

export const RERANKING: EndpointKind = {
  name: 're-ranking endpoint',
  path: '/rerank',
  variables: 'RERANKER',
  metrics: 'mnemosyne_reranker',
}
