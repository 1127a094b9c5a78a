import type { ExplainAnswer, ExplainRequest } from '@mnemosyne/contracts'
import type { ChunkDetail } from '@mnemosyne/graph'
import { type Caller, partsOf, scopeOf } from '../begin-search.ts'
import { embedForScope } from '../embed-query.ts'
import { runSearch } from '../pipeline.ts'
import type { SearchDeps } from '../search.ts'
import { laterVerdicts, placeIn } from './later-stages.ts'
import { fulltextVerdict, graphVerdict, vectorVerdict } from './retrievers.ts'
import { standingOf } from './standing.ts'
import { findTarget, furthest } from './target.ts'
import type { StageVerdict } from './verdict.ts'

/**
 * Where a passage that the caller may read ranks in each stage of a search, and which stage drops it: the search is
 * run as it would be answered, and the passage looked up in what it leaves behind. How it stands beyond what a
 * retriever nominates is asked of the store.
 *
 * @throws DomainError as `search` does; CHUNK_NOT_FOUND and ITEM_NOT_FOUND in the same words for what does not exist
 * and for what the caller may not read.
 */
export async function explain(
  deps: SearchDeps,
  explained: ExplainRequest,
  caller: Caller,
): Promise<ExplainAnswer> {
  const { graph } = deps
  const request = { ...explained, explain: false }
  const parts = partsOf(deps, caller)
  const searchScope = await scopeOf(deps, parts, request, caller)
  const readable = { libraries: caller.principal.resolved_libraries }
  const { target, isInScope } = await parts.need('scope', async (signal) => {
    const target = await findTarget(graph, readable, explained, { signal })
    const found = await graph.chunkDetails(searchScope.scope, [target.passage.chunk_uid], { signal })
    return { target, isInScope: found.length > 0 }
  })
  const answer = (passage: ChunkDetail, rank: number | null, stages: StageVerdict[], exact: boolean) => ({
    query: explained.query,
    chunk_uid: passage.chunk_uid,
    item_uid: passage.item_uid,
    item_title: passage.item_title,
    rank,
    dropped_by: stages.find(({ dropped }) => dropped)?.stage ?? null,
    stages,
    exact,
    degraded: parts.degraded,
  })
  const scope = scopeVerdict(target.passage, explained, isInScope)
  if (!isInScope) return answer(target.passage, null, [scope], true)

  const run = await runSearch(deps, request, {
    ...{ parts, searchScope },
    vectors: embedForScope(deps, parts, request, searchScope),
  })
  const { passage, standing } = await parts.need('explain', async (signal) => {
    const passage = await furthest(graph, run, target, { signal })
    return { passage, standing: await standingOf(graph, run, passage, { signal }) }
  })
  const stages = [
    scope,
    vectorVerdict(run, standing),
    fulltextVerdict(run, standing),
    graphVerdict(run, standing),
    ...laterVerdicts(run, standing),
  ]
  return answer(passage, placeIn(run, passage.chunk_uid), stages, run.nominations.vector?.exact ?? false)
}

function scopeVerdict(
  passage: ChunkDetail,
  { library_uid, library_type, collection_uid }: ExplainRequest,
  isInScope: boolean,
): StageVerdict {
  const reasons = [
    ...(library_uid !== undefined && library_uid !== passage.library_uid
      ? [`It is in the library "${passage.library_name}"; library_uid narrows the search to another.`]
      : []),
    ...(library_type !== undefined && library_type !== passage.library_type
      ? [
          `Its library "${passage.library_name}" is of the type ${passage.library_type}; library_type narrows the search to ${library_type}.`,
        ]
      : []),
    ...(collection_uid !== undefined && collection_uid !== passage.collection_uid
      ? ['It is not in the collection to which collection_uid narrows the search.']
      : []),
  ]
  const note = isInScope
    ? `It is in the library "${passage.library_name}", which is searched.`
    : reasons.join(' ') || 'It was deleted or replaced meanwhile.'
  return { stage: 'scope', rank: null, score: null, dropped: !isInScope, note }
}
