interface Rule {
  matches: (port: string, args: unknown[]) => boolean
  act: () => Promise<void>
}

export interface Hold {
  /** Someone waits there. */
  reached: Promise<void>
  release: () => void
}

/**
 * What stands between a service under test and its real ports: chosen calls fail, wait, or are the last thing
 * that happens before the process "dies", after which no call of its ever answers.
 */
export class Ports {
  readonly #rules: Rule[] = []
  #calls = 0
  #diesAfter = Number.POSITIVE_INFINITY

  get dead(): boolean {
    return this.#calls > this.#diesAfter
  }

  get calls(): number {
    return this.#calls
  }

  dieAfter(calls: number): void {
    this.#diesAfter = calls
  }

  die(): void {
    this.#diesAfter = -1
  }

  /** The next `times` calls of `port` (`graph.replaceItemContent`) reject with `error`. */
  fail(port: string, error: Error, { times = 1, where = anything } = {}): void {
    let left = times
    const rule: Rule = {
      matches: (name, args) => name === port && left > 0 && where(args),
      async act() {
        left -= 1
        throw error
      },
    }
    this.#rules.push(rule)
  }

  /** The next call of `port` waits until it is released. */
  hold(port: string, where: (args: unknown[]) => boolean = anything): Hold {
    const reached = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    let open = true
    this.#rules.push({
      matches: (name, args) => open && name === port && where(args),
      act() {
        open = false
        reached.resolve()
        return released.promise
      },
    })
    return { reached: reached.promise, release: released.resolve }
  }

  /** `target` with the calls of `operations` (default: every method) going through here. */
  wrap<T extends object>(name: string, target: T, operations?: (keyof T & string)[]): T {
    return new Proxy(target, {
      get: (_, property) => {
        const value: unknown = Reflect.get(target, property, target)
        if (typeof value !== 'function') return value
        const method = value.bind(target)
        if (typeof property === 'symbol' || (operations && !(operations as string[]).includes(property)))
          return method
        return (...args: unknown[]) => this.#call(`${name}.${property}`, args, method)
      },
    })
  }

  async #call(port: string, args: unknown[], method: (...args: unknown[]) => unknown): Promise<unknown> {
    this.#calls += 1
    if (this.dead) return never
    const rule = this.#rules.find((one) => one.matches(port, args))
    await rule?.act()
    const answer = await method(...args)
    return this.dead ? never : answer
  }
}

const never = new Promise<never>(() => {})
const anything = (_args: unknown[]): boolean => true
