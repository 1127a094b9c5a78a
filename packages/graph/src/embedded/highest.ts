/** The `k` highest of many numbers, in a heap whose first is the lowest. */
export class Highest {
  readonly #heap: Float64Array
  #size = 0

  constructor(k: number) {
    this.#heap = new Float64Array(k)
  }

  /** Whether there are `k` of them: what is not above the last need not be offered then. */
  get isFull(): boolean {
    return this.#size === this.#heap.length
  }

  /** The lowest kept; infinite when none is. */
  get last(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#heap[0]!
  }

  offer(value: number): void {
    if (this.#size < this.#heap.length) this.#rise(this.#size++, value)
    else if (value > this.#heap[0]!) this.#sink(value)
  }

  #rise(at: number, value: number): void {
    const heap = this.#heap
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]! <= value) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = value
  }

  /** Takes the place of the first. */
  #sink(value: number): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++
      if (heap[child]! >= value) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = value
  }
}
