import type { GraphStore } from '@mnemosyne/graph'
import { type ModelState, openConfiguredEmbedder } from '@mnemosyne/models'
import type { Logger, Metrics } from '@mnemosyne/platform'
import type { Settings } from './settings.ts'

interface Deps {
  graph: GraphStore
  /** Of this process; none when it only administers. */
  model: ModelState
  settings: Settings
  log: Logger
  metrics: Metrics
}

interface Known {
  dimensions: number | null
  model: string | null
  reason: string
}

/**
 * Makes the vector indexes for the configured embedding model. With `onlyIfKnown` no model is looked for, fetched or
 * started: a command that prepares the stores for others must not depend on that.
 */
export function createSetUpIndexes(deps: Deps) {
  return async ({ drop, onlyIfKnown }: { drop: boolean; onlyIfKnown: boolean }): Promise<Known> => {
    const known = await dimensionsOf(deps, onlyIfKnown)
    if (known.dimensions !== null) await deps.graph.setUpVectors(known.dimensions, { drop })
    return known
  }
}

async function dimensionsOf({ model, settings, log, metrics }: Deps, onlyIfKnown: boolean): Promise<Known> {
  if (model.embedder) return knownOf(model)
  if (onlyIfKnown) {
    const { EMBEDDING_DIMENSIONS: dimensions = null, EMBEDDING_MODEL: name = null } = settings
    return {
      dimensions,
      model: name,
      reason: 'EMBEDDING_DIMENSIONS is not set; ingest makes them when it starts with a model.',
    }
  }
  const opened = await openConfiguredEmbedder(settings, { log, metrics })
  await opened.embedder?.close()
  return knownOf(opened)
}

function knownOf(state: ModelState): Known {
  if (!state.embedder)
    return { dimensions: null, model: null, reason: `${state.reason} ${state.whatToDo}`.trim() }
  const { dimensions, name } = state.embedder.model
  return { dimensions, model: name, reason: '' }
}
