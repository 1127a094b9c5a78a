import { describeNeo4j, type Neo4jVersion } from '@mnemosyne/platform/testing'
import { graphContract } from '../src/testing/index.ts'
import { openTemporaryGraph } from './temporary-graph.ts'
import { openLentGraph } from './temporary-neo4j.ts'

for (const version of ['5.26', '2026'] satisfies Neo4jVersion[]) {
  await describeNeo4j(
    `Neo4j ${version}`,
    (lease) =>
      graphContract(`Neo4j ${version}`, () => openLentGraph(lease), {
        openSecond: openTemporaryGraph,
        approximates: true,
        rounds: 5,
      }),
    version,
  )
}
