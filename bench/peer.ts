import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { access, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { modelCacheDir } from '@mnemosyne/models'
import { execText } from '@mnemosyne/platform/testing'
import { say } from './bench.ts'
import { HITS, type SearchServer } from './http-search.ts'

const SCRIPT = fileURLToPath(new URL('txtai_peer.py', import.meta.url))
const VERSION = '9.14.0'
export const PEER = `txtai ${VERSION}`
/** Its lightest distribution, what its own API wants, and what a hybrid index of ONNX vectors wants. */
const PACKAGES = [
  `txtai-minimal[api]==${VERSION}`,
  'faiss-cpu==1.15.1',
  'onnxruntime==1.32.0',
  'tokenizers==0.23.3',
  'numpy>=2,<3',
  'msgpack>=1,<2',
  'pyyaml>=6,<7',
  'regex',
]
const PYTHONS = ['python3', 'python3.13', 'python3.12', 'python3.11']
const TEN_MINUTES = 600_000

export interface Passage {
  text: string
  embedding: Float32Array
}

/** Path of a Python that has txtai: a virtual environment in the cache, made when it is missing. */
export async function installPeer(): Promise<string> {
  const dir = join(dirname(modelCacheDir(process.env)), 'bench', `txtai-${VERSION}`)
  const [python, whole] = [join(dir, 'bin', 'python'), join(dir, 'whole')]
  if (await worked(access(whole))) return python
  say(`installing ${PEER}, once`)
  await rm(dir, { recursive: true, force: true })
  await execText(await pythonThatWillDo(), ['-m', 'venv', dir], { timeout: TEN_MINUTES })
  await execText(python, ['-m', 'pip', 'install', '-q', ...PACKAGES], { timeout: TEN_MINUTES })
  await writeFile(whole, PACKAGES.join('\n'))
  return python
}

async function pythonThatWillDo(): Promise<string> {
  for (const python of PYTHONS) {
    const recent = 'import sys; sys.exit(sys.version_info < (3, 11))'
    if (await worked(execText(python, ['-c', recent]))) return python
  }
  throw new Error(`${PEER} wants Python 3.11 or later; none of ${PYTHONS.join(', ')} is.`)
}

const worked = (attempt: Promise<unknown>) =>
  attempt.then(
    () => true,
    () => false,
  )

/** txtai in a process of its own, with an index of the passages and their vectors; served by its own API. */
export class Peer implements AsyncDisposable {
  readonly server: SearchServer
  /** Seconds that indexing took. */
  readonly indexed: number
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(
    process: ChildProcess,
    lines: AsyncIterator<string>,
    started: { url: string; seconds: number },
  ) {
    this.#process = process
    this.#lines = lines
    this.indexed = started.seconds
    this.server = {
      url: started.url,
      ask: (query) => ({ path: `/search?${new URLSearchParams({ query, limit: String(HITS) })}` }),
    }
  }

  /** `folder` does not exist yet. */
  static async start(options: {
    python: string
    modelDir: string
    folder: string
    passages: Iterable<Passage>
  }): Promise<Peer> {
    const { python, modelDir, folder, passages } = options
    await mkdir(folder)
    const file = join(folder, 'passages.jsonl')
    await pipeline(Readable.from(linesOf(passages)), createWriteStream(file))
    const child = spawn(python, [SCRIPT, modelDir, file, folder], {
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const first = await lines.next()
    if (first.done) throw new Error(`${PEER} did not start; what it said stands above.`)
    return new Peer(child, lines, JSON.parse(first.value))
  }

  /** Milliseconds of one search inside its process. `forget`: its vector is not known. */
  async inside(query: string, { forget }: { forget: boolean }): Promise<number> {
    const { ms, hits } = await this.#call<{ ms: number; hits: number }>({ query, forget })
    if (hits === 0) throw new Error(`${PEER} found nothing.`)
    return ms
  }

  /** Of the exact nearest passages by vector, the share that its index finds. Mean over the queries. */
  async recall(queries: string[]): Promise<number> {
    return (await this.#call<{ recall: number }>({ queries })).recall
  }

  async #call<T>(question: object): Promise<T> {
    this.#process.stdin!.write(`${JSON.stringify({ ...question, limit: HITS })}\n`)
    const line = await this.#lines.next()
    if (line.done) throw new Error(`${PEER} has ended; what it said stands above.`)
    return JSON.parse(line.value)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const gone = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await gone
  }
}

function* linesOf(passages: Iterable<Passage>): Generator<string> {
  for (const { text, embedding } of passages) {
    const { buffer, byteOffset, byteLength } = embedding
    yield `${JSON.stringify({ text, vector: Buffer.from(buffer, byteOffset, byteLength).toString('base64') })}\n`
  }
}
