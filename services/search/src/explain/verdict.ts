import type { ExplainAnswer, SearchType } from '@mnemosyne/contracts'
import type { SearchRun } from '../pipeline.ts'

export type StageVerdict = ExplainAnswer['stages'][number]

/** 1st, 2nd, 3rd, 11th, 21st. */
export function ordinal(number: number): string {
  const lastTwo = number % 100
  const suffix = lastTwo >= 11 && lastTwo <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][number % 10] ?? 'th')
  return `${number}${suffix}`
}

/** As a person reads points. */
export const points = (value: number) => value.toFixed(2)

/** Why a retriever says nothing of any passage; undefined when it answered. */
export function silence({ request, used, parts }: SearchRun, retriever: SearchType): string | undefined {
  if (!request.search_types.includes(retriever)) return `Not asked: search_types leaves ${retriever} out.`
  if (used.includes(retriever)) return undefined
  const isIts = ({ part }: { part: string }) =>
    part === retriever || (retriever === 'vector' && part === 'embed')
  return `It is out. ${parts.degraded.find(isIts)?.reason ?? ''}`.trim()
}

/** Of a retriever, which drops nothing alone: others may nominate. */
export function nominatedOrNot(
  stage: SearchType,
  note: string,
  { rank = null, score = null }: { rank?: number | null; score?: number | null } = {},
): StageVerdict {
  return { stage, rank, score, dropped: false, note }
}
