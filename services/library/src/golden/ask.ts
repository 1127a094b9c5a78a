import { CallError, GOLDEN_RANK_MAX, type GoldenResult, type SearchAnswer } from '@mnemosyne/contracts'
import type { RequestContext } from '@mnemosyne/platform'
import type { LibraryContext } from '../context.ts'
import { NotFoundError, ReplayCancelledError, SearchUnavailableError } from '../errors.ts'
import type { GoldenQueryRow } from '../store/tables.ts'

/** Searches at a time: a replay leaves room for those who wait for an answer. */
const AT_ONCE = 4

/** What was asked in one go. */
export interface Asked {
  /** By the id of the golden query. */
  results: Map<string, GoldenResult>
  exact: boolean
  /** Number of searches by the part that they were answered without. */
  degraded: Map<string, number>
  /** Why it broke off. */
  fault: unknown
}

type Deps = Pick<LibraryContext, 'search' | 'graph'>

/**
 * Searches for golden queries of one library on the caller's behalf, a few at a time, until all are asked or
 * `forMs` milliseconds have passed; at least the first few are. The first search that fails ends it. Throws
 * ReplayCancelledError when the caller leaves.
 */
export async function askGoldenQueries(
  deps: Deps,
  request: Pick<RequestContext, 'delegations' | 'signal'>,
  queries: readonly GoldenQueryRow[],
  forMs: number,
): Promise<Asked> {
  const deadline = performance.now() + forMs
  const broken = new AbortController()
  const signal = AbortSignal.any([request.signal, broken.signal])
  const asked: Asked = { results: new Map(), exact: true, degraded: new Map(), fault: undefined }
  let next = 0
  const lane = async (): Promise<void> => {
    do {
      const query = queries[next++]
      if (!query || signal.aborted) return
      const answer = await searchFor(deps, query, { ...request, signal })
      asked.results.set(query.id, await resultOf(deps, query, answer, signal))
      asked.exact &&= answer.exact
      for (const { part } of answer.degraded) asked.degraded.set(part, (asked.degraded.get(part) ?? 0) + 1)
    } while (performance.now() < deadline)
  }
  const guarded = () =>
    lane().catch((fault: unknown) => {
      // Those that the first fault ends have none of their own.
      if (!signal.aborted) asked.fault = fault
      broken.abort(fault)
    })
  await Promise.all(Array.from({ length: AT_ONCE }, guarded))
  if (request.signal.aborted) throw new ReplayCancelledError({ cause: request.signal.reason })
  return asked
}

async function searchFor(
  { search }: Deps,
  { query, library_uid }: GoldenQueryRow,
  { delegations, signal }: Pick<RequestContext, 'delegations' | 'signal'>,
): Promise<SearchAnswer> {
  const options = { context: { delegations }, signal }
  try {
    return await search.search(
      // A passage is found whether or not another one says the same.
      { query, library_uid, limit: GOLDEN_RANK_MAX, fold_duplicates: false, include_images: false },
      options,
    )
  } catch (cause) {
    if (cause instanceof CallError && cause.status === 404) throw new NotFoundError('Library', { cause })
    throw new SearchUnavailableError({ cause })
  }
}

/** Where what is wanted stands; of what does not stand there, whether it can. */
async function resultOf(
  { graph }: Deps,
  { library_uid, chunk_uid, item_uid }: GoldenQueryRow,
  { candidates }: SearchAnswer,
  signal: AbortSignal,
): Promise<GoldenResult> {
  const scope = { libraries: [library_uid] }
  const rankOf = (isIt: (candidate: SearchAnswer['candidates'][number]) => boolean) =>
    candidates.findIndex(isIt) + 1 || null
  if (chunk_uid !== null) {
    const rank = rankOf((candidate) => candidate.chunk_uid === chunk_uid)
    if (rank !== null || (await graph.getChunk(scope, chunk_uid, {}, { signal })))
      return { rank, counted_by: 'chunk' }
  }
  const rank = rankOf((candidate) => candidate.item_uid === item_uid)
  const isThere = rank !== null || (await graph.getItem(scope, item_uid, { signal })) !== null
  return { rank, counted_by: isThere ? 'item' : null }
}
