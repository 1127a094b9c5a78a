import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { createLog, Metrics, systemClock } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WorkerChannel } from '../src/embedded/channel.ts'
import {
  GraphFullError,
  GraphUnavailableError,
  NewerSchemaError,
  openEmbeddedGraph,
  queryTerms,
  type Scope,
} from '../src/index.ts'
import { chunkContent, concept, itemContent, libraryNode, store } from '../src/testing/index.ts'
import { graphOptions, openTemporaryGraph } from './temporary-graph.ts'

const ALL: Scope = { libraries: 'all' }

describe('the embedded store', () => {
  let folder: string
  let file: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mnemosyne-graph-'))
    file = join(folder, 'graph.db')
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('loses nothing that was stored, and keeps nothing half, when the process is killed', async () => {
    let stored = -1
    for (let round = 0; round < 3; round++) {
      const child = spawn(
        process.execPath,
        [fileURLToPath(new URL('./writer-until-killed.ts', import.meta.url)), file],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      const goal = 5 + round * 4
      for await (const line of createInterface({ input: child.stdout })) {
        stored = Math.max(stored, Number(line))
        if (Number(line) >= goal) child.kill('SIGKILL')
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      await using graph = await openEmbeddedGraph(graphOptions(file))
      const { items } = await graph.listItems(ALL, { page: { limit: 1000, offset: 0 } })
      const complete = items.filter(({ chunk_count }) => chunk_count > 0)
      expect(complete.length).toBeGreaterThan(stored)
      for (const { uid } of complete) {
        const found = await graph.fullTextCandidates(ALL, queryTerms(`"${uid}"`), 100)
        expect(found).toHaveLength(20)
      }
      const stats = await graph.stats()
      const chunks = complete.length * 20
      expect(stats).toMatchObject({ chunks, embeddings: chunks, indexed_texts: chunks, mentions: chunks })
      expect(await graph.vectorCandidates(ALL, Float32Array.of(1, 0, 0), 5)).toMatchObject({
        scope_size: chunks,
      })
    }
  })

  it('finishes a deletion that a crash cut short', async () => {
    const first = await openEmbeddedGraph(graphOptions(file))
    await store(first, itemContent('i', 'a', [chunkContent('c', 'text', [1])]))
    await first.close()
    const db = new DatabaseSync(file)
    db.exec('UPDATE libraries SET deleting = 1')
    db.close()
    await using graph = await openEmbeddedGraph(graphOptions(file))
    expect(await graph.getLibrary(ALL, 'a')).toBeNull()
    await expect
      .poll(() => graph.stats())
      .toMatchObject({ libraries: 0, items: 0, chunks: 0, embeddings: 0, terms: 0 })
  })

  it('refuses a file of a newer version, and leaves it alone', async () => {
    const db = new DatabaseSync(file)
    db.exec('PRAGMA user_version = 99')
    db.close()
    await expect(openEmbeddedGraph(graphOptions(file))).rejects.toThrow(NewerSchemaError)
    await expect(openEmbeddedGraph(graphOptions(file))).rejects.toMatchObject({
      found: 99,
      code: 'newer_schema',
    })
  })

  it('refuses a file that is no graph store, and a folder that is not there', async () => {
    await writeFile(
      file,
      'this is a text file, and long enough to be read as a header of something else '.repeat(20),
    )
    await expect(openEmbeddedGraph(graphOptions(file))).rejects.toThrow(GraphUnavailableError)
    await expect(openEmbeddedGraph(graphOptions(join(folder, 'none', 'graph.db')))).rejects.toThrow(
      /could not be opened/,
    )
  })

  it('says so when no space is left, and goes on with what it has', async () => {
    await using graph = await openEmbeddedGraph({ ...graphOptions(file), maxBytes: 2_000_000 })
    await store(graph, itemContent('i', 'a', [chunkContent('c', 'apple', [1])]))
    const large = Array.from({ length: 400 }, (_, n) =>
      chunkContent(`x${n}`, `pear ${'lorem ipsum '.repeat(800)}`, [n]),
    )
    await expect(store(graph, itemContent('j', 'a', large))).rejects.toThrow(GraphFullError)
    expect(await graph.fullTextCandidates(ALL, queryTerms('apple pear'), 10)).toHaveLength(1)
    await store(graph, itemContent('k', 'a', [chunkContent('d', 'plum', [2])]))
    expect(await graph.fullTextCandidates(ALL, queryTerms('plum'), 10)).toHaveLength(1)
  })

  it('searches large scopes exactly, as a plain scan does', async () => {
    await using graph = await openEmbeddedGraph(graphOptions(file))
    const vectors = Array.from({ length: 3_000 }, (_, n) =>
      Array.from({ length: 64 }, (_, i) => Math.sin((n * 64 + i + 1) ** 2)),
    )
    await store(
      graph,
      itemContent(
        'i',
        'a',
        vectors.map((values, n) => chunkContent(`c${n}`, 'x', values)),
      ),
    )
    await store(
      graph,
      itemContent(
        'j',
        'b',
        vectors.map((values, n) => chunkContent(`d${n}`, 'x', values.toReversed())),
      ),
    )
    const query = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i))
    const norm = (values: number[]) => Math.hypot(...values)
    const expected = vectors
      .map((values, n) => ({
        chunk_uid: `c${n}`,
        cosine:
          values.reduce((sum, value, i) => sum + value * query[i]!, 0) / norm(values) / norm([...query]),
      }))
      .sort((a, b) => b.cosine - a.cosine)
      .slice(0, 50)
    const { hits, scope_size, mean } = await graph.vectorCandidates({ libraries: ['a'] }, query, 50)
    expect(hits.map((hit) => hit.chunk_uid)).toEqual(expected.map((hit) => hit.chunk_uid))
    for (const [rank, hit] of hits.entries()) expect(hit.cosine).toBeCloseTo(expected[rank]!.cosine, 5)
    expect(scope_size).toBe(3_000)
    expect(Math.abs(mean)).toBeLessThan(0.05)
  })

  it('catches up after more changes than the list of changes holds', async () => {
    await using graph = await openEmbeddedGraph(graphOptions(file))
    const version = (n: number) => itemContent('i', 'a', [chunkContent(`c${n}`, 'x', [1, n])], { version: n })
    await store(graph, version(1))
    const look = async () =>
      (await graph.vectorCandidates(ALL, Float32Array.of(1, 0), 9)).hits.map((hit) => hit.chunk_uid)
    expect(await look()).toEqual(['c1'])
    for (let n = 2; n <= 300; n++) await graph.replaceItemContent(version(n))
    expect(await look()).toEqual(['c300'])
  })

  it('does not take a new library for a deleted one', async () => {
    await using graph = await openEmbeddedGraph(graphOptions(file))
    await store(graph, itemContent('i', 'a', [chunkContent('c', 'x', [1, 0])]))
    await graph.vectorCandidates(ALL, Float32Array.of(1, 0), 1)
    await graph.deleteLibrary('a')
    await store(graph, itemContent('j', 'b', [chunkContent('d', 'x', [0, 1])]))
    const { hits } = await graph.vectorCandidates(ALL, Float32Array.of(1, 0), 5)
    expect(hits.map((hit) => hit.chunk_uid)).toEqual(['d'])
  })

  it('measures every question', async () => {
    const metrics = new Metrics(new Registry(), 'search')
    await using graph = await openEmbeddedGraph({ ...graphOptions(file), metrics })
    await graph.putLibrary(libraryNode('a'))
    await graph.libraries(ALL)
    const text = await metrics.registry.metrics()
    expect(text).toContain(
      'mnemosyne_graph_query_duration_seconds_count{component="search",query="libraries"} 1',
    )
    expect(text).toContain(
      'mnemosyne_graph_query_duration_seconds_count{component="search",query="putLibrary"} 1',
    )
  })

  it('keeps the main thread free while it works', async () => {
    const { graph, dispose } = await openTemporaryGraph({
      log: createLog({ component: 't', level: 'silent' }),
      clock: systemClock,
    })
    const chunks = Array.from({ length: 600 }, (_, n) =>
      chunkContent(`c${n}`, `Rome ${n} ${'some words that stand here '.repeat(40)}`, [1, n]),
    )
    let ticks = 0
    const timer = setInterval(() => ticks++, 2)
    await store(graph, itemContent('i', 'a', chunks, { concepts: [concept('Rome')] }))
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(10)
    await dispose()
  })
})

describe('a thread', () => {
  type Questions = {
    echo: (value: string) => string
    echoed: () => number
    block: (flag: SharedArrayBuffer) => void
    join: (first: string, later: Promise<string>) => Promise<string>
    gaveUp: () => number
    slowly: (value: string) => Promise<string>
    die: () => void
    fail: () => void
  }
  const deaths: unknown[] = []
  const open = () =>
    new WorkerChannel<Questions>(new URL('./thread-that-dies.ts', import.meta.url), null, (error) =>
      deaths.push(error),
    )

  it('that dies fails those who wait, says so once, and is started again', async () => {
    const channel = open()
    expect(await channel.ask('echo', ['one'])).toBe('one')
    const waiting = [channel.ask('die', []), channel.ask('echo', ['lost'])]
    for (const one of await Promise.allSettled(waiting)) {
      expect(one).toMatchObject({ status: 'rejected', reason: { code: 'graph_unavailable' } })
    }
    expect(deaths).toHaveLength(1)
    expect(await channel.ask('echo', ['two'])).toBe('two')
    await channel.close()
    expect(deaths).toHaveLength(1)
  })

  it('does nothing for those who have left', async () => {
    const channel = open()
    const flag = new Int32Array(new SharedArrayBuffer(4))
    const blocked = channel.ask('block', [flag.buffer])
    const caller = new AbortController()
    const left = Array.from({ length: 20 }, () => channel.ask('echo', ['who asks?'], caller.signal))
    const stays = channel.ask('echo', ['me'])
    caller.abort(new Error('left'))
    for (const one of await Promise.allSettled(left))
      expect(one).toMatchObject({ status: 'rejected', reason: { message: 'left' } })
    Atomics.store(flag, 0, 1)
    Atomics.notify(flag, 0)
    await blocked
    expect(await stays).toBe('me')
    // One was ready to go when its caller left.
    expect(await channel.ask('echoed', [])).toBeLessThanOrEqual(2)
    await channel.close()
  })

  it('answers others while a question waits for what comes later', async () => {
    const channel = open()
    const later = Promise.withResolvers<string>()
    const joined = Array.from({ length: 5 }, (_, index) =>
      channel.ask('join', [`${index}`], undefined, later.promise),
    )
    expect(await channel.ask('echo', ['between'])).toBe('between')
    later.resolve('came')
    expect(await Promise.all(joined)).toEqual(['0 came', '1 came', '2 came', '3 came', '4 came'])
    await channel.close()
  })

  it('gives up a question whose caller leaves, or for which nothing comes, before it has what it waits for', async () => {
    const channel = open()
    const caller = new AbortController()
    const later = Promise.withResolvers<string>()
    const left = channel.ask('join', ['I'], caller.signal, later.promise)
    const failed = channel.ask('join', ['I'], undefined, Promise.reject(new Error('nothing came')))
    const unsendable = channel.ask('join', ['I'], undefined, Promise.resolve(() => 'no data') as never)
    await expect(failed).rejects.toThrow('nothing came')
    await expect(unsendable).rejects.toThrow(/could not be cloned/)
    caller.abort(new Error('left'))
    await expect(left).rejects.toThrow('left')
    expect(await channel.ask('gaveUp', [])).toBe(2)
    later.resolve('too late')
    await expect.poll(() => channel.ask('gaveUp', [])).toBe(3)
    expect(await channel.ask('echo', ['here'])).toBe('here')
    await channel.close()
  })

  it('that dies fails those who wait for something else too', async () => {
    const channel = open()
    const later = Promise.withResolvers<string>()
    const waiting = channel.ask('join', ['I'], undefined, later.promise)
    await channel.ask('die', []).catch(() => {})
    await expect(waiting).rejects.toMatchObject({ code: 'graph_unavailable' })
    later.resolve('too late')
    expect(await channel.ask('echo', ['again'])).toBe('again')
    await channel.close()
  })

  it('that is closed answers what it has in hand, and gives up what waits for something else', async () => {
    const channel = open()
    const slow = channel.ask('slowly', ['done'])
    const waiting = channel.ask('join', ['I'], undefined, new Promise<string>(() => {}))
    const refused = expect(waiting).rejects.toMatchObject({ code: 'graph_closed' })
    await channel.ask('echo', ['started'])
    await channel.close()
    expect(await slow).toBe('done')
    await refused
  })

  it('passes faults of the program on as they are', async () => {
    const channel = open()
    await expect(channel.ask('fail', [])).rejects.toThrow('a fault of the program')
    await channel.close()
    await expect(channel.ask('echo', ['late'])).rejects.toMatchObject({ code: 'graph_closed' })
  })
})
