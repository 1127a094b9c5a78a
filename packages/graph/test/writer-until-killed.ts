/** Stores one item after the other, telling its number when it is stored, until somebody kills the process. */
import { openEmbeddedGraph } from '../src/index.ts'
import { chunkContent, concept, itemContent, store } from '../src/testing/index.ts'
import { graphOptions } from './temporary-graph.ts'

const graph = await openEmbeddedGraph(graphOptions(process.argv[2]!))
for (let n = 0; ; n++) {
  const chunks = Array.from({ length: 20 }, (_, i) =>
    chunkContent(`${n}.${i}`, `Rome item${n} chunk${i}`, [1, n, i]),
  )
  await store(graph, itemContent(`item${n}`, 'a', chunks, { concepts: [concept('Rome')] }))
  process.stdout.write(`${n}\n`)
}
