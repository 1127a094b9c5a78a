import { createHash, hash } from 'node:crypto'
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { DEFAULT_MODEL } from './default-model.ts'
import { ModelUnusable } from './port.ts'

/** Written by us beside a model, or by a person who brings their own. Everything else is guessed. */
const Settings = z.strictObject({
  name: z.string().min(1).max(200).optional(),
  /** Path of the weights inside the folder, where there are several `.onnx` files. */
  weights: z
    .string()
    .regex(/^(?!.*\.\.)[^/].*\.onnx$/)
    .optional(),
  pooling: z.enum(['cls', 'mean']).optional(),
  maxTokens: z.int().min(8).max(32_768).optional(),
  queryPrefix: z.string().max(2000).optional(),
  passagePrefix: z.string().max(2000).optional(),
})
export type ModelSettings = z.infer<typeof Settings>

export interface ModelFolder {
  name: string
  weights: string
  tokenizer: string
  pooling: 'cls' | 'mean'
  maxTokens: number
  queryPrefix: string
  passagePrefix: string
}

const BGE_QUERY_PREFIX = 'Represent this sentence for searching relevant passages: '

/**
 * Finds weights, tokenizer and settings in a folder laid out by us, by the Hugging Face hub
 * (`onnx/model_quantized.onnx`) or by hand (one `.onnx` and one `*tokenizer.json`).
 *
 * `mnemosyne.json` decides; else the weights, where they are the default model's; else `1_Pooling/config.json`, `sentence_bert_config.json`, `config.json` and the
 * model's name. Throws `ModelUnusable`.
 */
export function readModelFolder(dir: string): ModelFolder {
  if (!existsSync(dir) || !statSync(dir).isDirectory()) {
    throw new ModelUnusable(`${dir} is not a folder. It should hold model.onnx and tokenizer.json.`)
  }
  const given = readSettings(dir)
  const weights = findWeights(dir, given.weights)
  const settings = isDefaultModel(weights) ? { ...DEFAULT_MODEL.settings, ...given } : given
  const tokenizer = findTokenizer(dir)
  const config = readJson(join(dir, 'config.json'))
  const name = settings.name ?? guessName(dir, weights, config)
  const isBge = /\bbge-(small|base|large)-en\b/i.test(name)
  return {
    name,
    weights,
    tokenizer,
    pooling: settings.pooling ?? readPooling(dir) ?? (isBge ? 'cls' : 'mean'),
    maxTokens: settings.maxTokens ?? guessMaxTokens(dir, name, config),
    queryPrefix: settings.queryPrefix ?? (isBge ? BGE_QUERY_PREFIX : ''),
    passagePrefix: settings.passagePrefix ?? '',
  }
}

/** SHA-256 (hex) over all that shapes a passage's vector. */
export async function modelRevision(folder: ModelFolder): Promise<string> {
  const { pooling, maxTokens, passagePrefix } = folder
  const hash = createHash('sha256').update(JSON.stringify([pooling, maxTokens, passagePrefix]))
  const external = `${folder.weights}_data`
  for (const file of [folder.weights, external, folder.tokenizer]) {
    if (existsSync(file)) hash.update(await sha256OfFile(file))
  }
  return hash.digest('hex')
}

/** SHA-256 (hex) of a file's content. */
export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const bytes of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(bytes)
  return hash.digest('hex')
}

/** People who fetch the default model by hand give the folder any name. */
function isDefaultModel(weights: string): boolean {
  const pinned = DEFAULT_MODEL.files.find(({ file }) => file === 'model.onnx')!
  return statSync(weights).size === pinned.bytes && hash('sha256', readFileSync(weights)) === pinned.sha256
}

function readSettings(dir: string): ModelSettings {
  const parsed = Settings.safeParse(readJson(join(dir, 'mnemosyne.json')) ?? {})
  if (parsed.success) return parsed.data
  throw new ModelUnusable(
    `${join(dir, 'mnemosyne.json')} is not understood: ${z.prettifyError(parsed.error)}`,
  )
}

function findWeights(dir: string, chosen: string | undefined): string {
  const all = [dir, join(dir, 'onnx')].flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((file) => file.endsWith('.onnx'))
          .map((file) => join(folder, file))
      : [],
  )
  const usual = [chosen, 'model.onnx', 'onnx/model_quantized.onnx', 'onnx/model.onnx']
  const found = usual.map((file) => file && join(dir, file)).find((file) => file && all.includes(file))
  if (chosen && found !== join(dir, chosen)) {
    throw new ModelUnusable(`mnemosyne.json names the weights ${chosen}, which are not in ${dir}.`)
  }
  if (found) return found
  if (all.length === 1) return all[0]!
  throw new ModelUnusable(
    all.length === 0
      ? `No .onnx file in ${dir}. Put model.onnx and tokenizer.json there.`
      : `Several .onnx files in ${dir}. Name one in mnemosyne.json: {"weights": "FILE.onnx"}.`,
  )
}

/** `tokenizer.json`, or the only `*-tokenizer.json`. Throws `ModelUnusable`. */
export function findTokenizer(dir: string): string {
  if (!existsSync(dir)) throw new ModelUnusable(`There is no folder ${dir}.`)
  const usual = join(dir, 'tokenizer.json')
  if (existsSync(usual)) return usual
  const others = readdirSync(dir).filter((file) => file.endsWith('-tokenizer.json'))
  if (others.length === 1) return join(dir, others[0]!)
  throw new ModelUnusable(`No tokenizer.json in ${dir}. It comes with the model; put it beside the weights.`)
}

function guessName(dir: string, weights: string, config: Record<string, unknown> | undefined): string {
  const published = config?._name_or_path
  if (typeof published === 'string' && published.length > 0) return basename(published)
  const file = basename(weights, '.onnx')
  return file.startsWith('model') ? basename(dir) : file
}

function readPooling(dir: string): 'cls' | 'mean' | undefined {
  const pooling = readJson(join(dir, '1_Pooling', 'config.json'))
  if (pooling?.pooling_mode_cls_token === true) return 'cls'
  if (pooling?.pooling_mode_mean_tokens === true) return 'mean'
  if (pooling) {
    throw new ModelUnusable(
      `The pooling in ${join(dir, '1_Pooling', 'config.json')} is neither cls nor mean.`,
    )
  }
  return undefined
}

/**
 * The MiniLM sentence models were trained and are used with 256 tokens though their position table has 512;
 * only `sentence_bert_config.json` says so, and exports often come without it.
 */
function guessMaxTokens(dir: string, name: string, config: Record<string, unknown> | undefined): number {
  const trained = readJson(join(dir, 'sentence_bert_config.json'))?.max_seq_length
  if (typeof trained === 'number') return trained
  if (/minilm-l\d+-v2/i.test(name)) return 256
  const positions = config?.max_position_embeddings
  return typeof positions === 'number' ? Math.min(positions, 8192) : 512
}

const LARGEST_CONFIG = 1 << 20

function readJson(file: string): Record<string, unknown> | undefined {
  if (!existsSync(file)) return undefined
  if (statSync(file).size > LARGEST_CONFIG)
    throw new ModelUnusable(`${file} is too large for a settings file.`)
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch (cause) {
    throw new ModelUnusable(`${file} is not JSON.`, { cause })
  }
  throw new ModelUnusable(`${file} is not a JSON object.`)
}
