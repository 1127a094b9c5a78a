import { ModelError } from './model-error.ts'

/** What identifies an embedding model and the vectors it makes. */
export interface EmbeddingModel {
  /** For people and for records, for example `bge-small-en-v1.5-q`. */
  name: string
  /** Length of every vector. */
  dimensions: number
  /** Longest text that is seen whole, in the model's tokens; special tokens are counted. */
  maxTokens: number
  /**
   * Changes whenever the same text would get another vector: a SHA-256 over weights, tokenizer, pooling and length
   * of a local model; over protocol, name, dimensions and form of passages of an endpoint's, whose weights are not
   * seen. Belongs in the key of every stored vector.
   */
  revision: string
  /** Whether `instruction` reaches the model; where false it is ignored and belongs in no cache key. */
  takesInstructions: boolean
}

export interface EmbedOptions {
  /** A library type's instruction; ignored by models that take none. */
  instruction?: string
  /** Aborting drops texts whose turn has not come and rejects with the signal's reason. */
  signal?: AbortSignal
}

export interface QueryOptions extends EmbedOptions {
  /** `false` asks the model even when the vector is known (benchmarks). */
  cache?: boolean
  /**
   * Milliseconds after which the vector is of no use: the call ends with an error by then where an endpoint is asked, and
   * one that is slow so again and again is left alone for a while. A local model does not heed it.
   */
  timeoutMs?: number
}

/**
 * Makes vectors of texts: the port to a local model or an endpoint.
 *
 * Vectors are normalised (length 1, so that cosine similarity is the dot product), belong to the caller and
 * do not depend on which other texts were asked for at the same time. Text longer than the model can read
 * is cut at `maxTokens`. Any string has a vector: empty, unpaired surrogates and NUL included.
 *
 * Failures are `ModelError`s; `retryable` says whether the same call may succeed later.
 */
export interface Embedder {
  readonly model: EmbeddingModel
  /** One vector per passage, in order. All or nothing. */
  embedPassages(passages: string[], options?: EmbedOptions): Promise<Float32Array[]>
  /** The vector of a query, with the model's own query prefix. Goes before passages that wait. */
  embedQuery(query: string, options?: QueryOptions): Promise<Float32Array>
  /**
   * Tokens of each text by the model's own tokenizer, or estimated where an endpoint's is not at hand; special tokens
   * are not counted, nothing is cut.
   */
  countTokens(texts: string[]): Promise<number[]>
  /** Resolves when the model answers now. */
  ping(): Promise<void>
  /** Calls in hand reject with `EmbedderClosed`. May be called twice. */
  close(): Promise<void>
}

/** The process that runs the model died while the call was in hand; a new one is being started. */
export class EmbedderCrashed extends ModelError {
  override readonly name = 'EmbedderCrashed'
  override readonly code = 'embedder_crashed'
  override readonly retryable = true
}

/** The embedder was closed before or during the call. */
export class EmbedderClosed extends ModelError {
  override readonly name = 'EmbedderClosed'
  override readonly code = 'embedder_closed'
}

/** The files in a model folder are missing, damaged or of a kind that is not understood. */
export class ModelUnusable extends ModelError {
  override readonly name = 'ModelUnusable'
  override readonly code = 'model_unusable'
}
