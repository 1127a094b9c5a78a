import type { Ask, ChunkDetail } from '@mnemosyne/graph'
import { follows } from './join.ts'
import { NearDuplicates, shinglesOf } from './near-duplicates.ts'
import type { Passages } from './passages.ts'
import { createPauses } from './pauses.ts'

/** So many of the first are looked at for duplicates of what is shown, even if the answer is full before. */
const FOLDED_AMONG = 50

/** One place of the answer. */
export interface Choice {
  best: ChunkDetail
  /** In reading order: those joined into one, or `best` alone. */
  parts: ChunkDetail[]
  duplicates: number
}

export interface Chosen {
  choices: Choice[]
  /** Why passages are not shown that the limit would have let through, in words; by chunk uid. */
  withheld: Map<string, string>
}

export interface ChoiceOptions {
  limit: number
  fold_duplicates: boolean
  join_neighbours: boolean
  /** Without it, any number. */
  max_per_item?: number | undefined
}

/**
 * What the answer shows: passages in their order until it is full, without those that say nearly the same as one
 * that is shown, those of a document of which enough are shown, and those that are gone meanwhile. A neighbour of
 * one that is shown takes no place of its own when neighbours are joined.
 */
export async function choose(
  passages: Passages,
  order: string[],
  options: ChoiceOptions,
  ask: Ask,
): Promise<Chosen> {
  const chooser = new Chooser(options)
  const pause = createPauses()
  const first = options.fold_duplicates ? Math.max(options.limit, FOLDED_AMONG) : options.limit
  for (let at = 0, end = first; at < order.length && (at === 0 || !chooser.isFull); ) {
    for (const passage of await passages.load(order.slice(at, end), ask)) {
      await pause()
      chooser.consider(passage)
    }
    at = end
    end += options.limit
  }
  return { choices: chooser.choices, withheld: chooser.withheld }
}

class Chooser implements Chosen {
  readonly choices: Choice[] = []
  readonly withheld = new Map<string, string>()
  readonly #options: ChoiceOptions
  readonly #shown = new NearDuplicates()

  constructor(options: ChoiceOptions) {
    this.#options = options
  }

  get isFull(): boolean {
    return this.choices.length >= this.#options.limit
  }

  consider(passage: ChunkDetail): void {
    const shingles = this.#options.fold_duplicates ? shinglesOf(passage.text) : undefined
    if (shingles && this.#folds(passage, shingles)) return
    if (this.isFull || !(this.#joins(passage) || this.#takesPlace(passage))) return
    if (shingles) this.#shown.add(passage.chunk_uid, shingles)
  }

  #folds({ chunk_uid }: ChunkDetail, shingles: Uint32Array): boolean {
    const uid = this.#shown.find(shingles)
    if (uid === undefined) return false
    const holder = this.choices.find(({ parts }) => parts.some((part) => part.chunk_uid === uid))!
    holder.duplicates++
    const why = 'which says nearly the same and stands before it'
    this.withheld.set(chunk_uid, `It was folded into ${uid} of "${holder.best.item_title}", ${why}.`)
    return true
  }

  /** Into the one that it continues, and so that which continues it. */
  #joins(passage: ChunkDetail): boolean {
    if (!this.#options.join_neighbours) return false
    const before = this.choices.find(({ parts }) => follows(parts.at(-1)!, passage))
    const after = this.choices.find(({ parts }) => follows(passage, parts[0]!))
    if (!before && !after) return false
    const [better, other] = this.choices.filter((choice) => choice === before || choice === after)
    better!.parts = [...(before?.parts ?? []), passage, ...(after?.parts ?? [])]
    if (other) {
      better!.duplicates += other.duplicates
      this.choices.splice(this.choices.indexOf(other), 1)
    }
    return true
  }

  #takesPlace(passage: ChunkDetail): boolean {
    const { max_per_item } = this.#options
    const ofItem = this.choices.filter(({ best }) => best.item_uid === passage.item_uid)
    if (max_per_item !== undefined && ofItem.length >= max_per_item) {
      const passages = max_per_item === 1 ? 'a better passage' : `${max_per_item} better passages`
      const note = `The answer shows ${passages} of its document; max_per_item lets no more through.`
      this.withheld.set(passage.chunk_uid, note)
      return false
    }
    this.choices.push({ best: passage, parts: [passage], duplicates: 0 })
    return true
  }
}
