#!/usr/bin/env node
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, libraryInternalContract, SUBSCRIPTIONS, validateMessage } from '@mnemosyne/contracts'
import { openNeo4jGraph } from '@mnemosyne/graph'
import { openConfiguredEmbedder } from '@mnemosyne/models'
import { openRabbitBus, openS3Blobs, openSql, runService, s3Location } from '@mnemosyne/platform'
import { ingestProcessConfig } from './config.ts'
import { openConfiguredProcessor } from './processing/open-configured-processor.ts'
import { startIngest } from './service.ts'
import { openSources } from './sources.ts'
import type { IngestTables } from './store/tables.ts'

await runService({
  name: 'ingest',
  schema: ingestProcessConfig,
  async start({ config, closing, reach, verify, keys: _, ...around }) {
    const sql = closing.use(await openSql<IngestTables>(config.DATABASE_URL, { schema: 'ingest', ...around }))
    const graph = closing.use(await openNeo4jGraph({ url: config.NEO4J_URL, ...around }))
    // A folder would be each replica's own.
    const bucket = s3Location('ingest', { ...config, USE_LOCAL_STORAGE: false })!
    const blobs = closing.use(await openS3Blobs({ ...bucket, ...around }))
    const sources = await openSources(config, { ...around, closing })
    const bus = closing.use(
      await openRabbitBus({
        url: config.AMQP_URL,
        validate: validateMessage,
        subscriptions: SUBSCRIPTIONS,
        ...around,
      }),
    )
    const model = await openConfiguredEmbedder(config, {
      ...around,
      batchSize: config.EMBEDDING_BATCH_SIZE,
    })
    if (model.embedder) closing.use(model.embedder)
    const workDir = await mkdtemp(join(tmpdir(), 'mnemosyne-ingest-'))
    closing.defer(() => rm(workDir, { recursive: true, force: true }))
    const tokenizerDir = model.embedder ? model.tokenizerDir : undefined
    const processor = closing.use(openConfiguredProcessor(config, { workDir, tokenizerDir, ...around }))
    return startIngest({
      ...around,
      verify,
      config,
      sql,
      graph,
      blobs,
      sources,
      bus,
      processor,
      embedder: () => model.embedder,
      library: createClient(libraryInternalContract, reach('library', config.LIBRARY_URL)),
      workDir,
      soleWorker: false,
      work: true,
    })
  },
})
