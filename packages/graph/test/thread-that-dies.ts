import { serveQuestions } from '../src/embedded/channel.ts'

serveQuestions(() => ({
  questions: {
    echo: (value: string) => value,
    die: () => process.exit(3),
    fail: () => {
      throw new TypeError('a fault of the program')
    },
  },
  close: () => {},
}))
