/** The entry of a process that runs the model; its argument is the `ModelFolder` as JSON. */
import { setImmediate } from 'node:timers/promises'
import type { Tensor as TensorType } from 'onnxruntime-node'
import type { ModelFolder } from './model-folder.ts'
import { loadTokenizer } from './tokenizer.ts'

export type Question =
  | { id: number; kind: 'vector'; text: string; urgent: boolean }
  | { id: number; kind: 'counts'; texts: string[]; urgent: boolean }

export type Reply =
  | { kind: 'ready'; dimensions: number }
  | { kind: 'unusable'; reason: string }
  | { kind: 'answer'; id: number; answer: Float32Array | number[] }
  | { kind: 'failure'; id: number; reason: string }

const KNOWN_INPUTS = ['input_ids', 'attention_mask', 'token_type_ids']

async function openModel(folder: ModelFolder) {
  // Imported here, so that a platform without the native runtime is told like any other fault.
  const { InferenceSession, Tensor } = await import('onnxruntime-node')
  const tokenizer = loadTokenizer(folder.tokenizer)
  // One intra-op thread a session: two sessions of one thread do 1.5 times the work of one session of two.
  const session = await InferenceSession.create(folder.weights, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  })
  const unknown = session.inputNames.filter((name) => !KNOWN_INPUTS.includes(name))
  if (unknown.length > 0) throw new Error(`it asks for the inputs ${unknown.join(', ')}`)
  const output = ['last_hidden_state', 'token_embeddings'].find((name) => session.outputNames.includes(name))
  if (!output) throw new Error(`it has no output last_hidden_state but ${session.outputNames.join(', ')}`)

  /** One text a run and no padding: with int8 weights a vector depends on whatever shares its batch. */
  async function embed(text: string): Promise<Float32Array> {
    const ids = tokenizer.encode(text, folder.maxTokens)
    const shape = [1, ids.length]
    const inputs: Record<string, TensorType> = {
      input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), shape),
      attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), shape),
      token_type_ids: new Tensor('int64', new BigInt64Array(ids.length), shape),
    }
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, inputs[name]!]))
    const states = (await session.run(feeds, [output!]))[output!]!
    if (!(states.data instanceof Float32Array)) throw new Error(`its output is ${states.type}, not float32`)
    return pool(states.data, ids.length)
  }

  function pool(states: Float32Array, tokens: number): Float32Array {
    const dimensions = states.length / tokens
    const vector = states.slice(0, dimensions)
    if (folder.pooling === 'mean') {
      for (let i = dimensions; i < states.length; i++) vector[i % dimensions]! += states[i]!
    }
    return normalise(vector)
  }

  return { tokenizer, embed }
}

function normalise(vector: Float32Array): Float32Array {
  let squares = 0
  for (const x of vector) squares += x * x
  const length = Math.sqrt(squares) || 1
  return vector.map((x) => x / length)
}

async function serve(): Promise<void> {
  // Nobody is there to hear of a reply that cannot be sent; `disconnect` follows.
  const reply = (message: Reply) => process.send?.(message, () => {})
  // Whoever started this process decides when it ends: a Ctrl-C in a terminal reaches the whole group.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  process.on('disconnect', () => process.exit())
  let model: Awaited<ReturnType<typeof openModel>>
  try {
    model = await openModel(JSON.parse(process.argv[2]!) as ModelFolder)
    reply({ kind: 'ready', dimensions: (await model.embed('ready')).length })
  } catch (error) {
    reply({ kind: 'unusable', reason: error instanceof Error ? error.message : String(error) })
    return
  }

  async function answer(question: Question): Promise<void> {
    try {
      if (question.kind === 'counts') {
        reply({ kind: 'answer', id: question.id, answer: question.texts.map(model.tokenizer.count) })
      } else {
        reply({ kind: 'answer', id: question.id, answer: await model.embed(question.text) })
      }
    } catch (error) {
      reply({
        kind: 'failure',
        id: question.id,
        reason: error instanceof Error ? error.message : String(error),
      })
    }
  }

  const urgent: Question[] = []
  const waiting: Question[] = []
  let busy = false
  process.on('message', async (question: Question) => {
    ;(question.urgent ? urgent : waiting).push(question)
    if (busy) return
    busy = true
    for (let next = take(); next; next = take()) {
      await answer(next)
      // A run blocks the event loop; give what was sent meanwhile the chance to go first.
      await setImmediate()
    }
    busy = false
  })
  const take = () => urgent.shift() ?? waiting.shift()
}

await serve()
