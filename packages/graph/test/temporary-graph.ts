import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog, Metrics, systemClock } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { type EmbeddedGraphOptions, openEmbeddedGraph } from '../src/index.ts'
import type { OpenGraph } from '../src/testing/index.ts'

export function graphOptions(file: string): EmbeddedGraphOptions {
  return {
    file,
    log: createLog({ component: 'test', level: 'silent' }),
    metrics: new Metrics(new Registry(), 'test'),
    clock: systemClock,
    readers: 1,
  }
}

/** An embedded store in a folder of its own. */
export async function openTemporaryGraph(
  over: Partial<EmbeddedGraphOptions> = {},
): Promise<OpenGraph & { file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-graph-'))
  const file = join(folder, 'graph.db')
  const open = () => openEmbeddedGraph({ ...graphOptions(file), ...over })
  const opened = {
    file,
    graph: await open(),
    reopen: async () => {
      await opened.graph.close()
      opened.graph = await open()
      return opened.graph
    },
    dispose: async () => {
      await opened.graph.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return opened
}
