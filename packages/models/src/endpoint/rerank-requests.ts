import { z } from 'zod'
import type { EndpointClient } from './endpoint-client.ts'
import { EndpointUnavailable } from './errors.ts'
import { RERANKING } from './kind.ts'
import { bodyOf } from './refusal.ts'
import { invalidReply, readReply } from './reply-json.ts'

/** What is asked beside the documents. */
export interface RerankQuestion {
  query: string
  instruction: string | undefined
  /** A time of `performance.now()` after which no answer is waited for. */
  deadline: number
}

const BYTES_PER_RESULT = 200
/** Of a character that an answer repeats, escaped. */
const BYTES_PER_CHARACTER = 6

/**
 * One `POST {base}/rerank`: the scores of `documents`, in their order. Throws one of the errors in `errors.ts`, or the
 * signal's reason.
 */
export async function requestScores(
  client: EndpointClient,
  { query, instruction, deadline }: RerankQuestion,
  documents: readonly string[],
  signal: AbortSignal,
): Promise<number[]> {
  const timeoutMs = deadline - performance.now()
  if (timeoutMs <= 0) {
    throw new EndpointUnavailable(`The ${RERANKING.name} was not done in time.`, { sendAgain: false })
  }
  const characters = documents.reduce((sum, text) => sum + text.length, 0)
  const answer = await client.post(
    // Without top_n some servers answer with the best few.
    { query, documents, top_n: documents.length, ...(instruction && { instruction }) },
    // Some repeat the documents.
    {
      timeoutMs,
      most: documents.length * BYTES_PER_RESULT + characters * BYTES_PER_CHARACTER,
      signal,
    },
  )
  return scoresIn(bodyOf(answer, client.asked([query, ...documents])), documents.length)
}

const Reply = z.object({
  results: z.array(z.object({ index: z.unknown().optional(), relevance_score: z.unknown().optional() })),
})

/** A score for each of `count` documents, by its index. Throws `EndpointReplyInvalid` unless there is one for each. */
export function scoresIn(body: string, count: number): number[] {
  const { results } = readReply(RERANKING, Reply, body, 'a list of results')
  if (results.length !== count) throw invalid(`${results.length} scores for ${count} documents`)
  const scores: number[] = []
  for (const { index, relevance_score: score } of results) {
    if (!isIndex(index, count)) throw invalid('an index that no document has')
    if (scores[index] !== undefined) throw invalid(`the index ${index} twice`)
    if (typeof score !== 'number' || !Number.isFinite(score)) throw invalid('a score that is no number')
    scores[index] = score
  }
  return scores
}

function isIndex(value: unknown, count: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < count
}

const invalid = (what: string) => invalidReply(RERANKING, what)
