#!/usr/bin/env node
import { openNeo4jGraph } from '@mnemosyne/graph'
import { openConfiguredEmbedder, openConfiguredReranker } from '@mnemosyne/models'
import { runService } from '@mnemosyne/platform'
import { searchProcessConfig } from './config.ts'
import { startSearch } from './start.ts'

await runService({
  name: 'search',
  schema: searchProcessConfig,
  async start({ config, closing, verify, clock, log, metrics }) {
    const graph = closing.use(await openNeo4jGraph({ url: config.NEO4J_URL, log, metrics, clock }))
    const model = await openConfiguredEmbedder(config, { log, metrics })
    if (model.embedder) closing.use(model.embedder)
    const reranker = openConfiguredReranker(config, { log, metrics })
    if (reranker) closing.use(reranker)
    return startSearch({ config, graph, embedder: () => model, reranker, verify, log, metrics })
  },
})
