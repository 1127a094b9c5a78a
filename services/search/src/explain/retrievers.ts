import { NAMED_TOP_K } from '../fuse.ts'
import type { SearchRun } from '../pipeline.ts'
import { rankByGraph } from '../ranking/shares.ts'
import { listed } from './held-words.ts'
import { DEEPEST, type Rank, type Standing } from './standing.ts'
import { nominatedOrNot, ordinal, points, type StageVerdict, silence } from './verdict.ts'

export function vectorVerdict(run: SearchRun, { passage, cosine, ranks }: Standing): StageVerdict {
  const silent = silence(run, 'vector')
  if (silent !== undefined) return nominatedOrNot('vector', silent)
  const { ranked, cosines, exact } = run.nominations.vector!
  if (cosine === null) {
    return nominatedOrNot('vector', 'It has no vector yet: only full text and the graph can find it.')
  }
  const verdict = (note: string) =>
    nominatedOrNot('vector', note, { rank: ranks.vector ?? null, score: cosine })
  if (cosines.has(passage.chunk_uid)) {
    return verdict(`The ${ordinal(ranks.vector!)} of the ${ranked.length} nearest that are nominated.`)
  }
  const place = placeOf(ranks.vector, exact)
  const last = cosines.get(ranked.at(-1)!)!
  return verdict(
    `Not among the ${ranked.length} nearest by vector. ${place}: its cosine is ${cosine.toFixed(3)}, the ${ordinal(ranked.length)} has ${last.toFixed(3)}.`,
  )
}

export function fulltextVerdict(run: SearchRun, { passage, bm25, ranks, words }: Standing): StageVerdict {
  const silent = silence(run, 'fulltext')
  if (silent !== undefined) return nominatedOrNot('fulltext', silent)
  if (run.text.terms.length === 0) {
    return nominatedOrNot('fulltext', 'The query holds no word to look for.')
  }
  const { missingPhrases, held, missing } = words
  const isDemanded = run.text.phrases.length > 0
  if (isDemanded && missingPhrases.length > 0) {
    const quoted = listed(missingPhrases.map((phrase) => `"${phrase}"`))
    return nominatedOrNot('fulltext', `It does not hold ${quoted}, which the query demands by quotes.`)
  }
  if (bm25 === 0) return nominatedOrNot('fulltext', `It holds none of the words ${listed(missing)}.`)
  const nowhere =
    run.nominations.holding?.size === 0
      ? ' Nothing holds what stands in quotes, so its words are sought.'
      : ''
  const holds = ` It holds ${listed(held)}${missing.length > 0 ? `, not ${listed(missing)}` : ''}.${nowhere}`
  const verdict = (note: string) =>
    nominatedOrNot('fulltext', note + holds, { rank: ranks.fulltext ?? null, score: bm25 })
  const hits = run.nominations.fulltext!
  if (hits.some(({ chunk_uid }) => chunk_uid === passage.chunk_uid)) {
    return verdict(`The ${ordinal(ranks.fulltext!)} of the ${hits.length} that are nominated.`)
  }
  const place = placeOf(ranks.fulltext, true)
  const last = hits.at(-1)?.bm25 ?? 0
  return verdict(
    `Not among the best ${hits.length} by words. ${place}: its score is ${points(bm25)}, the ${ordinal(hits.length)} has ${points(last)}.`,
  )
}

export function graphVerdict(run: SearchRun, standing: Standing): StageVerdict {
  const silent = silence(run, 'graph')
  if (silent !== undefined) return nominatedOrNot('graph', silent)
  const { shares, named, links } = run.ranking
  const uid = standing.passage.chunk_uid
  const share = shares.get(uid)
  if (share && share.graph > 0) {
    const gained = links.get(uid)
    const score = (named.get(uid)?.points ?? 0) + (gained?.link ? gained.points : 0)
    const rank = rankByGraph(shares).indexOf(uid) + 1
    return nominatedOrNot('graph', ways(run, standing).join(' '), { rank, score })
  }
  const mentioning = run.nominations.named!.ranked.indexOf(uid)
  if (!share && mentioning >= 0)
    return nominatedOrNot('graph', crowdedOut(run, uid), { rank: mentioning + 1 })
  const lead =
    share && share.lead > 0
      ? [`It is one of those from which links are followed, and keeps ${points(share.lead)} points for that.`]
      : []
  return nominatedOrNot('graph', [...lead, ...nothing(run)].join(' '))
}

function placeOf(rank: Rank, exact: boolean): string {
  if (rank === undefined) return 'How far behind it is could not be told'
  if (rank === null) return `It is not among the first ${DEEPEST} either`
  return `It is ${exact ? '' : 'about '}the ${ordinal(rank)}`
}

/** How the graph came to the passage. */
function ways({ ranking: { named, links } }: SearchRun, { passage, titles }: Standing): string[] {
  const concept = named.get(passage.chunk_uid)?.concept
  const link = links.get(passage.chunk_uid)?.link
  const from = link && `"${titles.get(link.seed) ?? 'another passage'}", one of the best`
  return [
    ...(concept === undefined ? [] : [`It mentions "${concept}", which the query names.`]),
    ...(link?.via === 'concept' ? [`It shares "${link.concept}" with a passage of ${from}.`] : []),
    ...(link?.via === 'title' ? [`A passage of ${from}, mentions its title "${link.concept}".`] : []),
    ...(link?.via === 'adjacent' ? ['It stands next to one of the best passages.'] : []),
  ]
}

function crowdedOut({ nominations }: SearchRun, uid: string): string {
  const { mentioning, concepts, ranked } = nominations.named!
  const names = mentioning.get(uid)!.map((concept) => `"${concepts.get(concept)!.name}"`)
  return (
    `It mentions ${listed(names)}, which the query names, as ${ranked.length - 1} other passages mention what it ` +
    `names. Only the first ${NAMED_TOP_K} are scored.`
  )
}

function nothing({ nominations, ranking }: SearchRun): string[] {
  const names = [...nominations.named!.concepts.values()].map(({ name }) => `"${name}"`)
  const direct =
    names.length === 0
      ? 'The query names no concept that could lead somewhere in these libraries'
      : `It mentions none of the concepts that the query names (${listed(names)})`
  return [
    ranking.seeds.length === 0
      ? `${direct}.`
      : `${direct}, and no link from the first ${ranking.seeds.length} passages reaches it.`,
  ]
}
