import type { Cell } from './at-once.ts'
import { HITS } from './http-search.ts'
import { PEER } from './peer.ts'
import { milliseconds, percent, percentile, type Report, spread } from './report.ts'
import {
  BY_TEXT,
  BY_VECTOR,
  CLIENT,
  FULLTEXT_K,
  MODEL,
  PEER_HTTP,
  PEER_INSIDE,
  type Place,
  type Stages,
  type Times,
  TOTAL,
  VECTOR_K,
  WORDS_A_QUESTION,
} from './search-stages.ts'

/** Of new queries on the embedded store, seen by the client, in milliseconds by chunks. */
const AIMS: Record<number, { p50: number; p95?: number }> = {
  20000: { p50: 20, p95: 40 },
  100000: { p50: 40 },
}
/** Repeated queries on the embedded store. */
const RATE_AIM = { chunks: 20_000, rate: 100 }

const BESIDE: Record<string, string> = {
  [MODEL]: 'bare model, query',
  [BY_VECTOR]: 'bare store: by vector',
  [BY_TEXT]: 'bare store: by full text',
  [PEER_HTTP]: `${PEER}, through its API`,
  [PEER_INSIDE]: `${PEER}, called in its process`,
}

const keyOf = ({ name, chunks }: Place, what: string) => `${name} ${chunks} ${what}`
const titleOf = (what: string, { name, chunks }: Place) =>
  `${what}, ${name}, ${chunks.toLocaleString('en')} chunks`

/** Where a search spends its time, beside model, store and peer. */
export function stagesReport(place: Place, stages: Stages, notes: string[]): Report {
  const { fresh, repeated } = stages
  const inService = [...fresh.keys()].filter((name) => !(name in BESIDE || name === CLIENT || name === TOTAL))
  const row = (label: string, cell: (times: Times) => string) => [label, cell(fresh), cell(repeated)]
  const of = (name: string) => (times: Times) => (times.has(name) ? spread(times.get(name)!) : '')
  return {
    title: titleOf('Search by stage', place),
    about: `Questions of ${WORDS_A_QUESTION} words over all of the store with all three retrievers and ${HITS} hits, one after another, through the gateway's socket; ${fresh.get(CLIENT)!.length} of each kind. Times in milliseconds: p50 / p95 / p99. The vector of a repeated query is known already.`,
    columns: ['', 'new query', 'repeated query'],
    rows: [
      ...inService.map((name) => row(name, of(name))),
      row('in the search service', of(TOTAL)),
      row('around the search service', around),
      row('**seen by the client**', (times) => `**${of(CLIENT)(times)}**`),
      ...Object.entries(BESIDE)
        .filter(([name]) => fresh.has(name))
        .map(([name, label]) => row(label, of(name))),
    ],
    notes: [
      `\`embed\` then \`vector\`, \`fulltext\` and \`graph\` run at the same time, so the stages add up to more than the whole. "Around" is what the client sees less what the search service says it took. Model and store alone are asked the same questions in turn with the product: the store for ${VECTOR_K} by vector and ${FULLTEXT_K} by full text, one after the other.`,
      ...notes,
      ...stageAims(place, stages),
    ],
    figures: Object.fromEntries(
      Object.entries(stages).flatMap(([kind, times]: [string, Times]) =>
        [...times].flatMap(([name, values]) =>
          [0.5, 0.95, 0.99].map((share) => [
            keyOf(place, `${kind} ${name} p${share * 100}_ms`),
            percentile(values, share),
          ]),
        ),
      ),
    ),
  }
}

function around(times: Times): string {
  return spread(times.get(CLIENT)!.map((ms, n) => ms - times.get(TOTAL)![n]!))
}

function stageAims({ name, chunks, peer }: Place, { fresh, repeated }: Stages): string[] {
  const aims: string[] = []
  const p = (times: Times, kind: string, share: number) => percentile(times.get(kind)!, share)
  const aim = name === 'embedded' ? AIMS[chunks] : undefined
  if (aim) aims.push(below('a new query, p50', p(fresh, CLIENT, 0.5), aim.p50))
  if (aim?.p95) aims.push(below('a new query, p95', p(fresh, CLIENT, 0.95), aim.p95))
  if (peer) {
    for (const [times, kind] of [
      [fresh, 'a new query'],
      [repeated, 'a repeated query'],
    ] as const) {
      const [ours, theirs] = [p(times, CLIENT, 0.5), p(times, PEER_HTTP, 0.5)]
      aims.push(below(`${kind}, p50, against ${PEER} through its API`, ours, theirs))
    }
  }
  return aims.length > 0 ? [`Aims: ${aims.join('; ')}.`] : []
}

const met = (is: boolean) => (is ? 'met' : '**not met**')

function below(what: string, value: number, limit: number): string {
  return `${what}: ${milliseconds(value)} ms, to be under ${milliseconds(limit)}, ${met(value < limit)}`
}

/** What several callers at once get. */
export function atOnceReport(
  place: Place,
  cells: Cell[],
  { callersSeconds }: { callersSeconds: number },
): Report {
  const who = (cell: Cell) => (cell.who === 'peer' ? PEER : place.name)
  return {
    title: titleOf('At once', place),
    about: `So many callers in one process, each asking the next question when the last is answered, over connections that are kept; ${callersSeconds} s each${place.peer ? ', product and peer in turns' : ''}. Times in milliseconds as the callers see them: p50 / p95 / p99 of whole answers. A caller that is refused (503) comes again when it is told to.`,
    columns: [
      '',
      'callers',
      'requests/s',
      'ms',
      'refused',
      'degraded or failed',
      "callers' processor time a request",
    ],
    rows: bySource(cells).map((cell) => [
      `${who(cell)}, ${kindOf(cell)}`,
      String(cell.callers),
      `**${cell.rate.toFixed(1)}**`,
      spread(cell.times),
      percent(cell.refused / cell.requests),
      percent(cell.otherwise / cell.requests),
      `${milliseconds(cell.callersCpu)} ms`,
    ]),
    notes: atOnceAims(place, cells),
    figures: Object.fromEntries(
      cells.flatMap((cell) => {
        const key = keyOf(place, `${cell.who} ${kindOf(cell)} ${cell.callers}`)
        return [
          [`${key} per_s`, cell.rate],
          ...[0.5, 0.95, 0.99].map((share) => [`${key} p${share * 100}_ms`, percentile(cell.times, share)]),
          [`${key} refused`, cell.refused / cell.requests],
          [`${key} otherwise`, cell.otherwise / cell.requests],
        ]
      }),
    ),
  }
}

const kindOf = ({ fresh }: Cell) => (fresh ? 'new query' : 'repeated query')

/** What belongs together in a table was not measured one after another. */
function bySource(cells: Cell[]): Cell[] {
  const rank = (cell: Cell) => (cell.who === 'peer' ? 2 : 0) + (cell.fresh ? 0 : 1)
  return cells.toSorted((a, b) => rank(a) - rank(b))
}

function atOnceAims({ name, chunks }: Place, cells: Cell[]): string[] {
  const aims: string[] = []
  const best = (who: Cell['who'], fresh: boolean) =>
    Math.max(...cells.filter((cell) => cell.who === who && cell.fresh === fresh).map(({ rate }) => rate))
  if (name === 'embedded' && chunks === RATE_AIM.chunks)
    aims.push(above('repeated queries', best('product', false), RATE_AIM.rate))
  if (cells.some(({ who }) => who === 'peer')) {
    for (const [fresh, kind] of [
      [true, 'new queries'],
      [false, 'repeated queries'],
    ] as const) {
      aims.push(above(`${kind}, against ${PEER}`, best('product', fresh), best('peer', fresh)))
    }
  }
  return aims.length > 0 ? [`Aims, at the number of callers that gets the most: ${aims.join('; ')}.`] : []
}

function above(what: string, value: number, limit: number): string {
  return `${what}: ${value.toFixed(1)} a second, to be over ${limit.toFixed(1)}, ${met(value >= limit)}`
}
