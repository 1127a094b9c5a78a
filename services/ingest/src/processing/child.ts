import { readFile, stat } from 'node:fs/promises'
import { argv } from 'node:process'
import { approximateTokens } from '@mnemosyne/models/approximate-tokens'
import type { CountTokens } from '../chunking/chunk.ts'
import { chunkDocument } from '../chunking/chunk-document.ts'
import { extractConcepts } from '../concepts/extract-concepts.ts'
import { renderDocument, type StructuredDocument } from '../document/document.ts'
import { DocumentError, TooLargeError, UnsupportedFormatError } from '../document/errors.ts'
import { parseDocument, tooLarge } from '../document/parse-document.ts'
import type { ChildMessage, ChildSettings, Task } from './messages.ts'
import type { ProcessingResult, ProcessingStage } from './processor.ts'

/** The program of a child process: takes tasks from its parent one at a time until the channel closes. */
async function main(settings: ChildSettings): Promise<void> {
  // Ctrl-C goes to every process of the terminal; the parent ends its children itself, when their work is handed back.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  // The parent is gone, perhaps killed: there is nobody to stop a runaway parser, and nobody to hear a result.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  const countTokens = await openCounter(settings.tokenizerDir)
  process.on('message', (task: Task) => void answer(task, settings, countTokens))
  send({ type: 'ready' })
}

async function openCounter(tokenizerDir: string | undefined): Promise<CountTokens> {
  if (!tokenizerDir) return approximateTokens
  const { openTokenizer } = await import('@mnemosyne/models/tokenizer')
  const tokenizer = openTokenizer(tokenizerDir)
  return (text) => tokenizer.count(text)
}

async function answer(task: Task, settings: ChildSettings, countTokens: CountTokens): Promise<void> {
  const { id } = task
  try {
    const result = await run(task, settings, countTokens)
    send({ type: 'result', id, result, rss: process.memoryUsage.rss() })
  } catch (error) {
    const rss = process.memoryUsage.rss()
    if (error instanceof DocumentError) {
      const detectedType = error instanceof UnsupportedFormatError ? error.detectedType : undefined
      send({ type: 'refused', id, code: error.code, message: error.message, detectedType, rss })
    } else {
      const { message, stack } = error instanceof Error ? error : new Error(String(error))
      send({ type: 'failed', id, message, stack, rss })
    }
  }
}

async function run(task: Task, settings: ChildSettings, countTokens: CountTokens): Promise<ProcessingResult> {
  const enter = (stage: ProcessingStage) => send({ type: 'stage', id: task.id, stage })
  enter('parsing')
  const { document, fileType } = await parseFile(task, settings)
  const rendered = renderDocument(document)
  checkOutput(rendered.text, settings.maxOutputBytes)
  enter('chunking')
  const chunks = chunkDocument(task.itemUid, document, task.chunking, countTokens, rendered)
  enter('concepts')
  const concepts = extractConcepts(document, task.libraryType)
  return { document, chunks, concepts, fileType }
}

async function parseFile(
  task: Task,
  { maxInputBytes, maxPages }: ChildSettings,
): Promise<{ document: StructuredDocument; fileType: string }> {
  const { size } = await stat(task.path)
  if (size > maxInputBytes) throw tooLarge(size, maxInputBytes)
  const { declaredType, fileName, avoidNative } = task
  return parseDocument(await readFile(task.path), {
    maxInputBytes,
    maxPages,
    declaredType,
    fileName,
    avoidNative,
  })
}

function checkOutput(text: string, limit: number): void {
  // A UTF-16 unit is at most three bytes of UTF-8.
  if (text.length * 3 <= limit || Buffer.byteLength(text) <= limit) return
  const mebibytes = Math.max(1, Math.floor(limit / 2 ** 20))
  throw new TooLargeError(`The file holds more than ${mebibytes} MiB of text. Split it into smaller files.`)
}

function send(message: ChildMessage): void {
  if (process.connected) process.send!(message)
}

await main(JSON.parse(argv[2] ?? '{}') as ChildSettings)
