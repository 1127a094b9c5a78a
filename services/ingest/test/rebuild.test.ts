import type { GraphStore } from '@mnemosyne/graph'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RebuiltItem, rebuildItems } from '../src/rebuild.ts'
import { Ground, manual, World } from './world.ts'

let ground: Ground
beforeAll(async () => {
  ground = await Ground.open()
})
afterAll(() => ground[Symbol.asyncDispose]())

async function rebuild(
  world: World,
  options: { all?: boolean; graph?: GraphStore } = {},
): Promise<RebuiltItem[]> {
  const { sql, blobs, graph } = world
  const items: RebuiltItem[] = []
  for await (const item of rebuildItems(
    { sql, blobs, graph: options.graph ?? graph },
    { all: options.all ?? true },
  )) {
    items.push(item)
  }
  return items
}

/** The graph, with something that happens once, just before (or after) content is swapped in. */
function withInterlude(
  graph: GraphStore,
  when: 'before' | 'after',
  happens: () => Promise<unknown>,
): GraphStore {
  let happened = false
  return new Proxy(graph, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (name !== 'replaceItemContent') return value.bind(target)
      return async (...args: unknown[]) => {
        const first = !happened
        happened = true
        if (first && when === 'before') await happens()
        const outcome: unknown = await value.apply(target, args)
        if (first && when === 'after') await happens()
        return outcome
      }
    },
  })
}

async function emptyGraph(world: World): Promise<void> {
  for (const uid of world.libraries) await world.graph.deleteLibrary(uid)
  for (const uid of world.libraries) await world.putLibrary(uid)
}

/** All that readers see of an item. Its last change is, made again, the end of its job: some milliseconds later. */
const shown = async (world: World, uid: string) => ({
  item: { ...(await world.graph.getItem({ libraries: 'all' }, uid)), updated_at: undefined },
  chunks: await world.chunks(uid),
  concepts: await world.graph.itemConcepts({ libraries: 'all' }, uid),
})

describe('the content of the graph, made again', () => {
  it('is what it was, without the model, in place or from nothing', async () => {
    await using world = await World.open(ground)
    await world.start()
    await world.completed(manual('valve'))
    const job = await world.completed(manual('valve', 'pump', 'gauge'))
    const other = await world.completed(manual('crane'), { source_ref: 'crane' })
    const before = [await shown(world, job.item_uid), await shown(world, other.item_uid)]
    const stats = await world.graph.stats()
    const embedder = world.embedder!
    const calls = embedder.texts.length
    for (const from of ['place', 'nothing']) {
      if (from === 'nothing') await emptyGraph(world)
      expect(await rebuild(world)).toMatchObject([
        { item_uid: job.item_uid, outcome: 'written', chunks: 3, embeddings: 3 },
        { item_uid: other.item_uid, outcome: 'written', chunks: 1, embeddings: 1 },
      ])
      expect([await shown(world, job.item_uid), await shown(world, other.item_uid)]).toEqual(before)
      expect(await world.graph.stats()).toMatchObject({ ...stats, bytes: expect.any(Number) })
    }
    expect(embedder.texts).toHaveLength(calls)
    expect((await rebuild(world, { all: false })).map(({ outcome }) => outcome)).toEqual([
      'current',
      'current',
    ])
  })

  it.each(['before', 'after'] as const)(
    'lacks an item that was deleted %s its content was written',
    async (when) => {
      await using world = await World.open(ground)
      await world.start()
      const job = await world.completed(manual('valve'))
      await emptyGraph(world)
      const graph = withInterlude(world.graph, when, async () => {
        await world.deleteItem(job.item_uid)
        await expect.poll(() => world.rows()).toEqual([])
      })
      expect(await rebuild(world, { graph })).toMatchObject([{ outcome: 'gone', chunks: 0 }])
      expect(await world.graph.stats()).toMatchObject({ items: 0, chunks: 0 })
    },
  )

  it.each(['before', 'after'] as const)('has the version that a worker stored %s ours', async (when) => {
    await using world = await World.open(ground)
    await world.start()
    const job = await world.completed(manual('valve'))
    const graph = withInterlude(world.graph, when, () => world.completed(manual('valve', 'pump')))
    expect(await rebuild(world, { graph })).toMatchObject([{ chunks: 2 }])
    expect(await world.chunks(job.item_uid)).toHaveLength(2)
  })

  it('has the vectors that a worker stored meanwhile for what had none', async () => {
    await using world = await World.open(ground)
    const { embedder } = world
    world.embedder = null
    await world.start()
    const job = await world.completed(manual('valve'))
    const graph = withInterlude(world.graph, 'before', async () => {
      world.embedder = embedder
      await expect
        .poll(async () => (await world.job(job.job_id)).embedding_model, { timeout: 10_000 })
        .toBe('test')
    })
    expect(await rebuild(world, { graph })).toMatchObject([{ embeddings: 1 }])
    expect(await world.graph.stats()).toMatchObject({ chunks: 1, embeddings: 1 })
  })

  it('says what is missing: vectors, of which the text is still found, or all of it', async () => {
    await using world = await World.open(ground)
    await world.start()
    const job = await world.completed(manual('valve'))
    const folder = `items/${job.item_uid}/${job.content_hash}`
    await emptyGraph(world)
    await world.blobs.put(`${folder}/vectors.f32`, Buffer.alloc(3))
    expect(await rebuild(world)).toMatchObject([
      { outcome: 'written', chunks: 1, embeddings: 0, fault: expect.stringContaining('vectors.f32') },
    ])
    await emptyGraph(world)
    await world.blobs.put(`${folder}/content.json.gz`, Buffer.from('not gzip'))
    expect(await rebuild(world)).toMatchObject([
      { outcome: 'missing', items: 0, fault: expect.stringContaining('content.json.gz') },
    ])
    await world.blobs.delete(`${folder}/content.json.gz`)
    expect(await rebuild(world)).toMatchObject([
      { outcome: 'missing', fault: 'Its content is not in the blobs.' },
    ])
  })

  it('shows what failed as failed', async () => {
    await using world = await World.open(ground)
    await world.start()
    const failed = await world.ended(
      (await world.ingest('text', { file_size: 4, content_hash: 'a'.repeat(64) })).job_id,
    )
    expect(failed.status).toBe('failed')
    await emptyGraph(world)
    expect(await rebuild(world)).toMatchObject([{ outcome: 'bare', items: 1, chunks: 0 }])
    expect((await shown(world, failed.item_uid)).item).toMatchObject({
      embedding_status: 'failed',
      error: failed.error,
    })
  })
})
