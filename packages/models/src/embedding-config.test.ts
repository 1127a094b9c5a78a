import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog, Metrics, parseConfig, printConfig } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { embeddingVariables, openConfiguredEmbedder } from './embedding-config.ts'
import { startEmbeddingServer } from './testing/embedding-server.ts'
import { modelForSuite } from './testing/test-model.ts'

const schema = z.object(embeddingVariables)
const dir = await modelForSuite('a configured local model')
const scratch = mkdtempSync(join(tmpdir(), 'mnemosyne-model-'))
afterAll(() => rmSync(scratch, { recursive: true }))

function open(env: Record<string, string>) {
  const log = createLog({ component: 'test', level: 'silent' })
  const metrics = new Metrics(new Registry(), 'test')
  return openConfiguredEmbedder(parseConfig('test', schema, env), { log, metrics })
}

describe('the variables of the embedding model', () => {
  it('are all optional', () => {
    expect(parseConfig('test', schema, {})).toEqual({ EMBEDDING_TIMEOUT: 120 })
  })

  it.each([
    ['EMBEDDING_BASE_URL', 'host:8080'],
    ['EMBEDDING_BASE_URL', 'http://me:secret@host/v1'],
    ['EMBEDDING_DIMENSIONS', '0'],
    ['EMBEDDING_TIMEOUT', 'soon'],
    ['EMBEDDING_INSTRUCTIONS', 'maybe'],
  ])('%s refuses %s and does not quote it', (name, value) => {
    const read = () => parseConfig('test', schema, { [name]: value })
    expect(read).toThrow(name)
    expect(read).not.toThrow('secret')
  })

  it('hide the key when they are printed', () => {
    const config = parseConfig('test', schema, { EMBEDDING_API_KEY: 'sk-1234567' })
    expect(printConfig(schema, config)).toContain('EMBEDDING_API_KEY=********')
  })
})

describe('the configured model', () => {
  it('is the endpoint where there is an address', async () => {
    await using server = await startEmbeddingServer({ dimensions: 16, apiKey: 'k-1' })
    const state = await open({
      EMBEDDING_BASE_URL: server.url,
      EMBEDDING_MODEL: 'bge-small-en',
      EMBEDDING_API_KEY: ' k-1\n',
    })
    if (!state.embedder) return expect.fail(state.reason)
    await using embedder = state.embedder
    expect(state).toMatchObject({ source: 'endpoint', tokenizerDir: undefined })
    expect(await embedder.embedQuery('q')).toHaveLength(16)
  })

  it('needs a name with an address', async () => {
    await expect(open({ EMBEDDING_BASE_URL: 'http://127.0.0.1:1/v1' })).rejects.toThrow(
      /EMBEDDING_MODEL is missing; with EMBEDDING_BASE_URL/,
    )
  })

  it('rejects as retryable where an endpoint that is down has to be asked', async () => {
    const opening = open({ EMBEDDING_BASE_URL: 'http://127.0.0.1:1/v1', EMBEDDING_MODEL: 'm' })
    await expect(opening).rejects.toMatchObject({ code: 'endpoint_unavailable', retryable: true })
  })

  it.runIf(dir)('is the local one otherwise', async () => {
    const state = await open({ MNEMOSYNE_MODEL_DIR: dir! })
    if (!state.embedder) return expect.fail(state.reason)
    await using embedder = state.embedder
    expect(state).toMatchObject({ source: 'folder', tokenizerDir: dir })
    await embedder.ping()
  })

  it('may be missing, with what to do', async () => {
    expect(await open({ MNEMOSYNE_MODEL_DIR: scratch })).toEqual({
      embedder: null,
      reason: expect.stringContaining('No .onnx file'),
      whatToDo: expect.stringContaining('MNEMOSYNE_MODEL_DIR'),
    })
  })
})
