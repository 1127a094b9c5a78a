import { Metrics } from '@mnemosyne/platform'
import { describeNeo4j, type Neo4jLease, type Neo4jVersion, startNeo4j } from '@mnemosyne/platform/testing'
import neo4j from 'neo4j-driver'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import {
  type GraphStore,
  GraphUnavailableError,
  InvalidGraphUrlError,
  NewerSchemaError,
  openNeo4jGraph,
  queryTerms,
  type Scope,
} from '../src/index.ts'
import { Neo4jConnection } from '../src/neo4j/connection.ts'
import { parseNeo4jUrl } from '../src/neo4j/url.ts'
import { chunkContent, concept, itemContent, itemNode, libraryNode, store } from '../src/testing/index.ts'
import { openTemporaryGraph } from './temporary-graph.ts'
import { neo4jOptions } from './temporary-neo4j.ts'

const ALL: Scope = { libraries: 'all' }
const PAGE = { limit: 1_000, offset: 0 }

describe('the address of a Neo4j', () => {
  it.each([
    'http://neo4j:secret@host:7687',
    'bolt://host:7687',
    'bolt://neo4j@host',
    'bolt://:secret@host',
    'bolt://neo4j:secret@host/database',
    'bolt://neo4j:secret@host?x=1',
    'bolt://neo4j:se%ZZcret@host',
    'neo4j:secret@host',
    '',
  ])('is refused in words that do not quote it: %s', async (url) => {
    const refusal = await openNeo4jGraph(neo4jOptions(url)).catch((error) => error)
    expect(refusal).toBeInstanceOf(InvalidGraphUrlError)
    expect(String(refusal)).not.toContain('secret@')
    expect(refusal.cause).toBeUndefined()
  })

  it('may be of a server that is away: that is said within seconds', async () => {
    const from = performance.now()
    const refusal = await openNeo4jGraph(neo4jOptions('bolt://neo4j:secret@127.0.0.1:1')).catch(
      (error) => error,
    )
    expect(refusal).toBeInstanceOf(GraphUnavailableError)
    expect(String(refusal)).not.toContain('secret')
    expect(performance.now() - from).toBeLessThan(15_000)
  })
})

await describeNeo4j('a Neo4j of one version', (lease) => {
  it('is made ready by several at once, and may have any password', async () => {
    await using server = await lease()
    const url = new URL(server.url)
    url.password = 'p%20@:/?#ß'
    const graphs = await Promise.all(
      Array.from({ length: 4 }, () => openNeo4jGraph(neo4jOptions(server.url))),
    )
    await Promise.all(graphs.map((graph, n) => graph.putLibrary(libraryNode(`l${n}`))))
    expect((await graphs[0]!.libraries(ALL)).total).toBe(4)
    for (const graph of graphs) await graph.close()
    await expect(openNeo4jGraph(neo4jOptions(url.href))).rejects.toThrow(/refuses the user or the password/)
  })

  it('is left alone when a newer version wrote it', async () => {
    await using server = await lease()
    await cypher(server.url, "CREATE (:GraphStore {name: 'store', schema_version: 99})")
    await expect(openNeo4jGraph(neo4jOptions(server.url))).rejects.toThrow(NewerSchemaError)
    expect(await cypher(server.url, 'MATCH (n) RETURN count(n) AS n')).toEqual([{ n: 1 }])
    await cypher(server.url, 'MATCH (n) DELETE n')
  })

  it('counts right when several write the same words at once, and links all to all', async () => {
    await using server = await lease()
    const clients = await Promise.all([1, 2].map(() => openNeo4jGraph(neo4jOptions(server.url))))
    const alone = await openTemporaryGraph()
    await store(alone.graph, itemContent('none', 'a', []))
    await clients[0]!.putLibrary(libraryNode('a'))
    const documents = Array.from({ length: 24 }, (_, n) => document(n, 1))
    const again = Array.from({ length: 24 }, (_, n) => document(n, 2))
    for (const round of [documents, again]) {
      const queue = [...round]
      const work = async (graph: GraphStore) => {
        for (let next = queue.shift(); next; next = queue.shift()) {
          await graph.putItem(itemNode(next.item_uid, 'a', { title: next.title }))
          expect(await graph.replaceItemContent(next)).toBe('stored')
        }
      }
      await Promise.all([...clients, ...clients].map(work))
      for (const one of round) await store(alone.graph, one)
    }
    const look = async (graph: GraphStore) => {
      const found = await graph.fullTextCandidates(
        ALL,
        queryTerms('paris rome oslo red fox bear number7'),
        500,
      )
      const { chunks, embeddings, terms, indexed_texts, dimensions } = await graph.stats()
      const mentioned = await graph.mentions(ALL, found.map((hit) => hit.chunk_uid).sort())
      return {
        found: found.map((hit) => [hit.chunk_uid, expect.closeTo(hit.bm25, 9)]).sort(),
        mentioned: mentioned.map((one) => [
          one.chunk_uid,
          one.concepts.map((c) => `${c.key} ${c.df}`).sort(),
        ]),
        counts: { chunks, embeddings, terms, indexed_texts, dimensions },
      }
    }
    expect(await look(clients[0]!)).toEqual(await look(alone.graph))
    for (const graph of clients) await graph.deleteLibrary('a')
    expect(await clients[0]!.stats()).toMatchObject({ chunks: 0, terms: 0, concepts: 0, mentions: 0 })
    for (const graph of clients) await graph.close()
    await alone.dispose()
  }, 180_000)

  it('keeps nothing of what was replaced', async () => {
    await using server = await lease()
    const graph = await openNeo4jGraph(neo4jOptions(server.url))
    await store(
      graph,
      itemContent('i', 'a', [chunkContent('c1', 'Rome', [1])], { concepts: [concept('Rome')] }),
    )
    await graph.replaceItemContent(itemContent('i', 'a', [chunkContent('c2', 'Oslo', [2])], { version: 2 }))
    await graph.close()
    const [left] = await cypher(
      server.url,
      `RETURN COUNT { MATCH (:Chunk) } AS chunks, COUNT { MATCH (:Concept) } AS concepts, COUNT { MATCH (:Term) } AS terms,
         COUNT { MATCH (i:Item) WHERE i.stale_since IS NOT NULL } AS stale`,
    )
    expect(left).toEqual({ chunks: 1, concepts: 0, terms: 2, stale: 0 })
  })

  it('measures every question, and keeps the event loop free while it reads a long text', async () => {
    await using server = await lease()
    const metrics = new Metrics(new Registry(), 'search')
    await using graph = await openNeo4jGraph({ ...neo4jOptions(server.url), metrics })
    const chunks = Array.from({ length: 400 }, (_, n) =>
      chunkContent(`c${n}`, `Rome ${n} ${'some words that stand here '.repeat(80)}`),
    )
    let longest = 0
    let last = performance.now()
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 1)
    const from = performance.now()
    await store(graph, itemContent('i', 'a', chunks, { concepts: [concept('Rome')] }))
    clearInterval(timer)
    expect(longest).toBeLessThan((performance.now() - from) / 2)
    expect(await metrics.registry.metrics()).toContain(
      'mnemosyne_graph_query_duration_seconds_count{component="search",query="replaceItemContent"} 1',
    )
  })

  it('stops what it is at for those who leave', async () => {
    await using server = await lease()
    const connection = Neo4jConnection.to(parseNeo4jUrl(server.url))
    const caller = new AbortController()
    const ENDLESS = 'UNWIND range(1, 100000000000) AS n WITH n WHERE n < 0 RETURN count(n) AS n'
    const asked = connection.until(caller.signal).read((tx) => tx.run(ENDLESS))
    const running = async () => {
      const rows = await cypher(
        server.url,
        'SHOW TRANSACTIONS YIELD currentQuery RETURN currentQuery AS query',
      )
      return rows.filter(({ query }) => query === ENDLESS).length
    }
    await expect.poll(running).toBe(1)
    caller.abort(new Error('left'))
    await expect(asked).rejects.toThrow('left')
    await expect.poll(running).toBe(0)
    expect(await connection.read((tx) => tx.run('RETURN 1 AS n'))).toEqual([{ n: 1 }])
    await connection.close()
  })

  it('finishes a deletion that a crash cut short', async () => {
    await using server = await lease()
    await using first = await openNeo4jGraph(neo4jOptions(server.url))
    await store(first, itemContent('i', 'a', [chunkContent('c', 'text', [1])]))
    await cypher(server.url, 'MATCH (l:Library) SET l.deleting = true')
    await using second = await openNeo4jGraph(neo4jOptions(server.url))
    expect(await second.getLibrary(ALL, 'a')).toBeNull()
    const gone = { libraries: 0, items: 0, chunks: 0, terms: 0 }
    await expect.poll(() => second.stats(), { timeout: 30_000 }).toMatchObject(gone)
  }, 60_000)

  it('stores a large item whole', async () => {
    await using server = await lease()
    await using graph = await openNeo4jGraph(neo4jOptions(server.url))
    const chunks = Array.from({ length: 5_000 }, (_, n) =>
      chunkContent(`c${n}`, `Chunk number${n} of Rome ${'and some words of it '.repeat(10)}`, [1, n, n % 7]),
    )
    await store(graph, itemContent('i', 'a', chunks, { concepts: [concept('Rome')] }))
    expect(await graph.stats()).toMatchObject({ chunks: 5_000, embeddings: 5_000, mentions: 5_000 })
    expect(await graph.fullTextCandidates(ALL, queryTerms('number4321'), 5)).toMatchObject([
      { chunk_uid: 'c4321' },
    ])
    await graph.deleteLibrary('a')
    expect(await graph.stats()).toMatchObject({ chunks: 0, embeddings: 0, mentions: 0, terms: 0 })
  }, 180_000)
})

for (const version of ['5.26', '2026'] satisfies Neo4jVersion[]) {
  await describeNeo4j(
    `vectors on Neo4j ${version}`,
    (lease) => {
      it('are found through the index, in any scope as if it had an index of its own', async () => {
        await using server = await lease()
        await using graph = await openNeo4jGraph(neo4jOptions(server.url))
        await checkRecall(graph, server)
      }, 240_000)

      it('keep their index, but not one that the server quantised', async () => {
        await using server = await lease()
        await using graph = await openNeo4jGraph(neo4jOptions(server.url))
        await graph.setUpVectors(8)
        const made = await vectorIndex(server.url)
        await graph.setUpVectors(8)
        expect(await vectorIndex(server.url)).toEqual(made)
        if (version === '5.26') return
        expect(made.config).toMatchObject({ 'vector.quantization.type': 'NONE' })
        await cypher(server.url, 'DROP INDEX chunk_embedding_index')
        await cypher(
          server.url,
          `CYPHER 25 CREATE VECTOR INDEX chunk_embedding_index FOR (c:Chunk) ON c.embedding
           WITH [c.library_uid, c.collection_uid]
           OPTIONS {indexConfig: {\`vector.dimensions\`: 8, \`vector.similarity_function\`: 'cosine'}}`,
        )
        await graph.setUpVectors(8)
        expect((await vectorIndex(server.url)).config).toEqual(made.config)
      })
    },
    version,
  )
}

async function vectorIndex(url: string): Promise<{ id: number; config: Record<string, unknown> }> {
  const [found] = await cypher(
    url,
    'SHOW VECTOR INDEXES YIELD id, options RETURN id, options.indexConfig AS config',
  )
  return found as { id: number; config: Record<string, unknown> }
}

/**
 * A store of 6,000 chunks in libraries of 60, 30, 9 and 1 %. No two have anything to do with each other, nor have the
 * questions with any: nothing leads a walk through the index to the nearest.
 */
async function checkRecall(graph: GraphStore, server: Neo4jLease): Promise<void> {
  const random = seeded(11)
  const dimensions = 128
  const point = () => Array.from({ length: dimensions }, () => random() - 0.5)
  const sizes = { large: 3_600, middle: 1_800, small: 540, tiny: 60 }
  const vectors = new Map<string, { library: string; values: number[] }>()
  await graph.setUpVectors(dimensions)
  for (const [library, size] of Object.entries(sizes)) {
    await graph.putLibrary(libraryNode(library))
    for (let at = 0; at < size; at += 300) {
      const chunks = Array.from({ length: Math.min(300, size - at) }, (_, n) => {
        const uid = `${library}${at + n}`
        vectors.set(uid, { library, values: point() })
        return chunkContent(uid, 'x', vectors.get(uid)!.values)
      })
      await store(graph, itemContent(`${library} ${at}`, library, chunks, { title: 'x' }))
    }
  }
  const scopes: Scope[] = [
    ALL,
    ...Object.keys(sizes).map((one) => ({ libraries: [one] })),
    { libraries: ['middle', 'tiny'] },
    { libraries: ['middle', 'small', 'tiny'] },
  ]
  const index = async () => (await graph.vectorCandidates(ALL, Float32Array.from(point()), 10)).exact
  await expect.poll(index, { timeout: 90_000, interval: 500 }).toBe(false)
  for (const scope of scopes) {
    const inside = [...vectors].filter(
      ([, { library }]) => scope.libraries === 'all' || scope.libraries.includes(library),
    )
    let right = 0
    for (let round = 0; round < 20; round++) {
      const query = point()
      const expected = inside
        .map(([uid, { values }]) => [uid, cosine(values, query)] as const)
        .sort((a, b) => b[1] - a[1])
        .slice(0, 10)
      const found = await graph.vectorCandidates(scope, Float32Array.from(query), 10)
      expect(found.scope_size).toBe(inside.length)
      const uids = new Set(found.hits.map((hit) => hit.chunk_uid))
      const hits = expected.filter(([uid]) => uids.has(uid)).length
      if (found.exact) expect(hits).toBe(10)
      right += hits
      for (const hit of found.hits) {
        expect(hit.cosine).toBeCloseTo(cosine(vectors.get(hit.chunk_uid)!.values, query), 5)
      }
      const all = inside.map(([, { values }]) => cosine(values, query))
      const mean = all.reduce((sum, value) => sum + value, 0) / all.length
      expect(Math.abs(found.mean - mean)).toBeLessThan(0.03)
    }
    expect(right / 200).toBeGreaterThanOrEqual(0.99)
  }
  // The index may go: answers do not.
  await cypher(server.url, 'DROP INDEX chunk_embedding_index')
  expect(await graph.vectorCandidates(ALL, Float32Array.from(point()), 10)).toMatchObject({ exact: true })
  await graph.setUpVectors(dimensions)
  await expect.poll(index, { timeout: 90_000, interval: 500 }).toBe(false)
}

await describeNeo4j('a Neo4j that goes and comes back', () => {
  it('is missed for seconds, and no content is lost or mixed', async () => {
    await using server = await startNeo4j()
    await using graph = await openNeo4jGraph(neo4jOptions(server.url))
    const generation = (version: number, count: number) =>
      itemContent(
        'i',
        'a',
        Array.from({ length: count }, (_, n) =>
          chunkContent(`g${version}c${n}`, `common words ${n}`, [1, n]),
        ),
        { version },
      )
    const seen = async () =>
      (await graph.listChunks(ALL, 'i', PAGE)).chunks.map((one) => one.chunk_uid.split('c')[0])
    await store(graph, generation(1, 20))

    await server.stop()
    const from = performance.now()
    await expect(graph.libraries(ALL)).rejects.toThrow(GraphUnavailableError)
    await expect(graph.replaceItemContent(generation(2, 20))).rejects.toThrow(GraphUnavailableError)
    expect(performance.now() - from).toBeLessThan(20_000)
    await server.start()
    expect(await seen()).toEqual(Array(20).fill('g1'))

    const writing = graph.replaceItemContent(generation(2, 900)).catch((error: unknown) => error)
    await expect
      .poll(
        () => cypher(server.url, 'MATCH ()-[h:HAS_CHUNK]->() WHERE h.gen > 1 RETURN count(h) > 0 AS begun'),
        {
          timeout: 30_000,
          interval: 5,
        },
      )
      .toEqual([{ begun: true }])
    await server.kill()
    const outcome = await writing
    await server.start()
    if (outcome === 'stored') expect(await seen()).toEqual(Array(900).fill('g2'))
    else {
      expect(outcome).toBeInstanceOf(GraphUnavailableError)
      expect([Array(20).fill('g1'), Array(900).fill('g2')]).toContainEqual(await seen())
    }
    expect(await graph.replaceItemContent(generation(3, 30))).toBe('stored')
    expect(await seen()).toEqual(Array(30).fill('g3'))
    expect(await graph.fullTextCandidates(ALL, queryTerms('common'), 100)).toHaveLength(30)
    expect(await graph.vectorCandidates(ALL, Float32Array.of(1, 0), 100)).toMatchObject({ scope_size: 30 })
    expect(await graph.stats()).toMatchObject({ chunks: 30, embeddings: 30 })
  }, 180_000)
})

function document(n: number, version: number) {
  const names = ['Paris', 'Rome', 'Oslo', 'red fox', 'bear']
  const chunks = Array.from({ length: 6 }, (_, i) =>
    chunkContent(
      version === 1 || i % 2 === 0 ? `d${n}c${i}` : `d${n}v${version}c${i}`,
      `number${n} ${names[(n + i) % 5]} and the ${names[(n * i + version) % 5]} in words ${'again '.repeat(i)}`,
      [n + 1, i],
    ),
  )
  return itemContent(`d${n}`, 'a', chunks, {
    version,
    title: `Note ${n % 3} on ${names[n % 5]}`,
    concepts: [concept(names[n % 5]!), concept(names[(n + 1) % 5]!, 'phrase')],
  })
}

async function cypher(url: string, query: string): Promise<Record<string, unknown>[]> {
  const { host, username, password } = new URL(url)
  await using driver = neo4j.driver(`bolt://${host}`, neo4j.auth.basic(username, password), {
    disableLosslessIntegers: true,
  })
  const { records } = await driver.executeQuery(query)
  return records.map((record) => record.toObject())
}

function cosine(a: number[], b: number[]): number {
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
