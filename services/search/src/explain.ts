import type { ExplainAnswer, ExplainRequest, Principal } from '@mnemosyne/contracts'
import { searchUnavailable } from './errors.ts'
import type { SearchDeps } from './search.ts'

/** Where a passage ranked in each stage, and what dropped it. */
export async function explain(
  _deps: SearchDeps,
  _request: ExplainRequest,
  _caller: { principal: Principal; signal: AbortSignal },
): Promise<ExplainAnswer> {
  throw searchUnavailable(['Passages are not explained yet.'])
}
