import { z } from 'zod'
import { Health } from '../health.ts'
import { defineTool } from './tool.ts'

export const getHealthTool = defineTool({
  name: 'get_health',
  title: 'Health of the knowledge base',
  description: `Report whether the knowledge base works: the graph store (neo4j), the document store (s3) and the embedding model. Use it when another tool failed or search says that it is degraded. "degraded" means that search works without meaning, by words and concepts alone. Needs no credential.`,
  input: z.object({}),
  output: Health,
  async run(_input, { services }) {
    const health = await services.health()
    const { neo4j, s3, embedding } = health.checks
    const line = (name: string, { status, detail }: { status: string; detail?: string | undefined }) =>
      `- ${name}: ${status}${detail === undefined ? '' : `. ${detail}`}`
    return {
      structured: health,
      text: [
        `Status: ${health.status}`,
        line('graph store', neo4j),
        line('document store', s3),
        line(embedding.model === null ? 'embedding model' : `embedding model ${embedding.model}`, embedding),
      ].join('\n'),
      counts: {},
    }
  },
})
