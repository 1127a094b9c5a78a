import { Presets, SingleBar } from 'cli-progress'

/** A progress bar on a terminal; elsewhere now and then a line, so that a log stays readable. */
export class Progress implements Disposable {
  #bar: SingleBar | undefined
  readonly #label: string
  readonly #total: number
  #told = 0

  constructor(label: string, total: number, options: { quiet: boolean }) {
    this.#label = label
    this.#total = total
    if (options.quiet) return
    if (process.stderr.isTTY) {
      this.#bar = new SingleBar(
        {
          format: `${label} {bar} {percentage}% {note}`,
          stream: process.stderr,
          hideCursor: true,
          clearOnComplete: false,
        },
        Presets.shades_classic,
      )
      this.#bar.start(total, 0, { note: '' })
    } else process.stderr.write(`${label.trimEnd()} …\n`)
    this.#quiet = false
  }

  #quiet = true

  update(value: number, note = ''): void {
    this.#bar?.update(value, { note })
    if (this.#bar || this.#quiet || process.stderr.isTTY) return
    const tenth = Math.floor((value / this.#total) * 10)
    if (tenth > this.#told) {
      this.#told = tenth
      process.stderr.write(`${this.#label.trimEnd()} ${tenth * 10}% ${note}\n`)
    }
  }

  /** A bar that is not stopped draws itself again and again, and keeps the process alive. */
  stop(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }

  [Symbol.dispose](): void {
    this.stop()
  }
}
