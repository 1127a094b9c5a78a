import type { SearchAnswer } from '@mnemosyne/contracts'
import { type Bench, say } from './bench.ts'
import { percentile, type Report, spread, sum } from './report.ts'
import { startSystem } from './system.ts'

const HITS = 10

/** Whether a library of a hundredth of the store is searched as if it stood alone: against exact cosine, computed here. */
export async function measureSmallLibrary(bench: Bench): Promise<Report> {
  const filled = await bench.filled(bench.sizes.store)
  const { uid: library_uid, vectors } = filled.small
  const model = await bench.model()
  await using system = await startSystem(filled.dataDir, filled.token)
  const recalls: number[] = []
  const times: number[] = []
  let exact = true
  say(`searching a library of ${vectors.size} chunks`)
  for (let n = 0; n < bench.sizes.searches; n++) {
    const query = filled.question(8)
    const started = performance.now()
    const request = { query, library_uid, search_types: ['vector'], limit: HITS }
    const { status, text, body } = await system.call('POST', '/library/api/search/', request)
    times.push(performance.now() - started)
    if (status !== 200) throw new Error(`The search went wrong: ${status} ${text}`)
    const answer = body as SearchAnswer
    exact &&= answer.exact
    const found = new Set(answer.candidates.map((candidate) => candidate.chunk_uid))
    const nearest = nearestTo(await model.embedQuery(query, { cache: false }), vectors)
    recalls.push(nearest.filter((uid) => found.has(uid)).length / nearest.length)
  }
  const recall = sum(recalls) / recalls.length
  return {
    title: 'A library of one per cent of the store',
    about: `${vectors.size.toLocaleString('en')} of ${filled.chunks.toLocaleString('en')} chunks are in a library of their own. ${recalls.length} new queries to that library, by vector alone, against the ten nearest by exact cosine.`,
    columns: ['', ''],
    rows: [
      [`recall@${HITS} (aim: 1.00)`, `**${recall.toFixed(3)}**`],
      ['answers that say they are exact', exact ? 'all' : 'not all'],
      ['p50 / p95 / p99 seen by the client, ms', spread(times)],
    ],
    figures: { recall, p50_ms: percentile(times, 0.5), p95_ms: percentile(times, 0.95) },
  }
}

function nearestTo(query: Float32Array, vectors: Map<string, Float32Array>): string[] {
  return [...vectors]
    .map(([uid, vector]) => ({ uid, cosine: cosineOf(query, vector) }))
    .sort((a, b) => b.cosine - a.cosine)
    .slice(0, HITS)
    .map(({ uid }) => uid)
}

function cosineOf(a: Float32Array, b: Float32Array): number {
  let [dot, squaresOfA, squaresOfB] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!
    squaresOfA += a[i]! * a[i]!
    squaresOfB += b[i]! * b[i]!
  }
  return dot / Math.sqrt(squaresOfA * squaresOfB)
}
