import { setImmediate } from 'node:timers/promises'
import { serveQuestions } from '../src/embedded/channel.ts'

let echoed = 0
let gaveUp = 0

serveQuestions(() => ({
  questions: {
    echo: (value: string) => {
      echoed++
      return value
    },
    echoed: () => echoed,
    /** Until somebody sets the flag. */
    block: (flag: SharedArrayBuffer) => void Atomics.wait(new Int32Array(flag), 0, 0),
    /** Answers when `later` has come. */
    join: async (first: string, later: Promise<string>) => {
      try {
        return `${first} ${await later}`
      } catch (error) {
        gaveUp++
        throw error
      }
    },
    gaveUp: () => gaveUp,
    /** After others had their turn many times. */
    slowly: async (value: string) => {
      for (let turn = 0; turn < 1_000; turn++) await setImmediate()
      return value
    },
    die: () => process.exit(3),
    fail: () => {
      throw new TypeError('a fault of the program')
    },
  },
  close: () => {},
}))
