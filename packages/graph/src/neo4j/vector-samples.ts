import type { Neo4jConnection } from './connection.ts'
import { unit } from './vectors.ts'

/** A library or collection, and how many of its chunks have a vector. */
export interface Part {
  uid: string
  size: number
}

interface Spread {
  mean: number
  deviation: number
}

/** How the cosines of a question lie over a scope. */
export interface Outline {
  mean: number
  /** Cosine from which a chunk stands out. */
  outstanding: number
  /** Chunks of the scope that stand out, as far as a sample tells; 0 when it holds only one. */
  outstanding_count: number
}

const SAMPLE = 1_000
const SMALLEST = 50
/** What is kept in memory, in numbers of four bytes: 64 MB. */
const NUMBERS_KEPT = 16_000_000
/** A sample is drawn anew when its library has grown or shrunk by so much, or after so many questions. */
const CHANGE = 0.1
const QUESTIONS = 5_000
/**
 * So many deviations above the mean a chunk stands out. Where there is nothing but chance, cosines are spread normally,
 * and of any number of chunks that a store may hold none comes that far.
 */
const OUTSTANDING = 6

interface Sample {
  vectors: Float32Array[]
  size: number
  questions: number
}

/** Random samples of the vectors of libraries, kept in memory, to tell how the cosines of a scope lie. */
export class VectorSamples {
  readonly #kept = new Map<string, Sample>()

  /** Of a query at length 1, over parts that lie in different libraries. */
  async outline(
    db: Neo4jConnection,
    kind: 'library' | 'collection',
    parts: Part[],
    query: Float32Array,
  ): Promise<Outline> {
    const wanted = parts.length === 1 ? SAMPLE : Math.max(SMALLEST, Math.ceil((2 * SAMPLE) / parts.length))
    const sampled: { size: number; cosines: number[] }[] = []
    for (const part of parts) {
      const { vectors } = await this.#sample(db, kind, part, Math.min(wanted, part.size))
      sampled.push({ size: part.size, cosines: vectors.map((vector) => dot(vector, query)) })
    }
    const spread = spreadOfParts(sampled)
    const outstanding = spread.mean + OUTSTANDING * spread.deviation
    let [seen, count] = [0, 0]
    for (const { size, cosines } of sampled) {
      const above = cosines.filter((cosine) => cosine >= outstanding).length
      seen += above
      if (above > 0) count += (size * above) / cosines.length
    }
    return { mean: spread.mean, outstanding, outstanding_count: seen > 1 ? count : 0 }
  }

  async #sample(
    db: Neo4jConnection,
    kind: 'library' | 'collection',
    { uid, size }: Part,
    wanted: number,
  ): Promise<Sample> {
    const key = `${kind} ${uid}`
    const known = this.#kept.get(key)
    const fresh =
      known &&
      Math.abs(known.size - size) <= CHANGE * known.size &&
      known.questions++ < QUESTIONS &&
      (known.vectors.length >= wanted || known.vectors.length >= known.size)
    const sample = fresh ? known : { vectors: await draw(db, kind, uid, wanted / size), size, questions: 0 }
    this.#kept.delete(key)
    this.#kept.set(key, sample)
    this.#forget()
    return sample
  }

  #forget(): void {
    let numbers = 0
    for (const [key, { vectors }] of [...this.#kept].reverse()) {
      numbers += vectors.length * (vectors[0]?.length ?? 0)
      if (numbers > NUMBERS_KEPT) this.#kept.delete(key)
    }
  }
}

/** Some of the part's vectors at length 1, each taken by lot. */
async function draw(
  db: Neo4jConnection,
  kind: 'library' | 'collection',
  uid: string,
  share: number,
): Promise<Float32Array[]> {
  // A few more, so that the lot seldom gives too few.
  const rows = await db.read((tx) =>
    tx.run<{ embedding: number[] }>(
      `MATCH (c:Chunk {${kind}_uid: $uid}) WHERE rand() < $share AND c.embedding IS NOT NULL
       RETURN c.embedding AS embedding`,
      { uid, share: Math.min(1, share * 1.15) },
    ),
  )
  return rows.map(({ embedding }) => unit(Float32Array.from(embedding)))
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** Of the whole, each part by its size. */
function spreadOfParts(sampled: { size: number; cosines: number[] }[]): Spread {
  const total = sampled.reduce((sum, { size }) => sum + size, 0)
  if (total === 0) return { mean: 0, deviation: 0 }
  let [mean, square] = [0, 0]
  for (const { size, cosines } of sampled) {
    const one = spreadOf(cosines)
    const share = size / total
    mean += share * one.mean
    square += share * (one.deviation ** 2 + one.mean ** 2)
  }
  return { mean, deviation: Math.sqrt(Math.max(0, square - mean ** 2)) }
}

/** Mean and standard deviation; 0 of nothing. */
export function spreadOf(values: number[]): Spread {
  if (values.length === 0) return { mean: 0, deviation: 0 }
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  return { mean, deviation: Math.sqrt(variance) }
}
