import { graphContract } from '../src/testing/index.ts'
import { openTemporaryGraph } from './temporary-graph.ts'

graphContract('embedded', openTemporaryGraph)
