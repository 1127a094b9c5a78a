import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { conceptKeys } from '../analysis/concept-keys.ts'
import { queryTerms } from '../analysis/query.ts'
import {
  CollectionGoneError,
  DimensionMismatchError,
  GraphClosedError,
  InvalidContentError,
  ItemGoneError,
  LibraryGoneError,
  WorkspaceTakenError,
} from '../errors.ts'
import type { GraphStore, Scope } from '../port.ts'
import {
  chunkContent as chunk,
  collectionNode,
  concept,
  itemContent as content,
  itemNode,
  libraryNode,
  store,
} from './graph-fixtures.ts'
import { scopeContract } from './scope-contract.ts'

/** A store under test. */
export interface OpenGraph {
  graph: GraphStore
  /** Closes the store and opens it again over the same data. */
  reopen(): Promise<GraphStore>
  /** Closes the store and removes its data. */
  dispose(): Promise<void>
}

const ALL: Scope = { libraries: 'all' }
const PAGE = { limit: 100, offset: 0 }
const vector = (...values: number[]) => Float32Array.from(values)
const only = (...libraries: string[]): Scope => ({ libraries })

export interface GraphContractOptions {
  /** Gives another store beside the one under test, of any kind, to compare answers with. */
  openSecond?: () => Promise<OpenGraph>
  /** Large scopes are looked up in a vector index, which may miss some. */
  approximates?: boolean
  /** How many random stores are asked in random scopes, some hundred questions each. */
  rounds?: number
}

/** What every graph store must do. `open` gives a new, empty one. */
export function graphContract(
  name: string,
  open: () => Promise<OpenGraph>,
  { openSecond = open, approximates = false, rounds = 40 }: GraphContractOptions = {},
): void {
  describe(`graph store: ${name}`, () => {
    let opened: OpenGraph
    let graph: GraphStore

    beforeAll(async () => {
      opened = await open()
      graph = opened.graph
    })
    afterAll(() => opened.dispose())
    // One store serves all tests: what a test leaves behind would show in the next one's counts.
    afterEach(async () => {
      for (const { uid } of (await graph.libraries(ALL)).libraries) await graph.deleteLibrary(uid)
      expect(await graph.stats()).toMatchObject({
        libraries: 0,
        collections: 0,
        items: 0,
        chunks: 0,
        images: 0,
        embeddings: 0,
        concepts: 0,
        mentions: 0,
        indexed_texts: 0,
        terms: 0,
        dimensions: null,
      })
    })

    const find = async (scope: Scope, query: string, k = 100) =>
      (await graph.fullTextCandidates(scope, queryTerms(query), k)).map((hit) => hit.chunk_uid)
    const nearest = async (scope: Scope, query: Float32Array, k = 100) =>
      (await graph.vectorCandidates(scope, query, k)).hits.map((hit) => hit.chunk_uid)
    const named = async (scope: Scope, text: string) =>
      (await graph.conceptsNamed(scope, conceptKeys(text))).concepts
        .map(({ key, df }) => [key, df])
        .sort((a, b) => String(a[0]).localeCompare(String(b[0])))
    const mentioned = async (uid: string) =>
      (await graph.mentions(ALL, [uid])).flatMap(({ concepts }) => concepts.map(({ key }) => key)).sort()

    describe('libraries and collections', () => {
      it('keeps a library as it was put, and takes the newer state', async () => {
        const library = libraryNode('a', {
          workspace_id: 'w',
          chunking_config: { max_tokens: 300, kinds: ['x'] },
        })
        await graph.putLibrary(library)
        await graph.putLibrary(library)
        expect(await graph.getLibrary(ALL, 'a')).toEqual(library)
        await graph.putLibrary({ ...library, name: 'Renamed', owner_username: null })
        expect(await graph.getLibrary(ALL, 'a')).toEqual({
          ...library,
          name: 'Renamed',
          owner_username: null,
        })
      })

      it('ties a workspace to one library', async () => {
        await graph.putLibrary(libraryNode('a', { workspace_id: 'w' }))
        await expect(graph.putLibrary(libraryNode('b', { workspace_id: 'w' }))).rejects.toThrow(
          WorkspaceTakenError,
        )
        expect(await graph.getLibrary(ALL, 'b')).toBeNull()
      })

      it('lists what the scope holds, by name, in pages', async () => {
        for (const uid of ['c', 'a', 'b']) await graph.putLibrary(libraryNode(uid))
        await graph.putLibrary(libraryNode('d', { library_type: 'music' }))
        const listed = async (scope: Scope, page?: { limit: number; offset: number }) => {
          const { libraries, total } = await graph.libraries(scope, page)
          return [libraries.map(({ uid }) => uid), total]
        }
        expect(await listed(ALL)).toEqual([['a', 'b', 'c', 'd'], 4])
        expect(await listed(only('c', 'a', 'unknown'))).toEqual([['a', 'c'], 2])
        expect(await listed(only())).toEqual([[], 0])
        expect(await listed({ libraries: 'all', library_type: 'music' })).toEqual([['d'], 1])
        expect(await listed(ALL, { limit: 2, offset: 1 })).toEqual([['b', 'c'], 4])
        expect(await graph.getLibrary(only('a'), 'b')).toBeNull()
      })

      it('counts per library', async () => {
        await store(graph, content('i', 'a', [chunk('i1', 'one'), chunk('i2', 'two')], { image_count: 3 }))
        await store(graph, content('j', 'a', [chunk('j1', 'one')]))
        await graph.putLibrary(libraryNode('b'))
        expect(await graph.libraryCounts(['b', 'a', 'unknown'])).toEqual([
          { library_uid: 'b', items: 0, chunks: 0, images: 0 },
          { library_uid: 'a', items: 2, chunks: 3, images: 3 },
          { library_uid: 'unknown', items: 0, chunks: 0, images: 0 },
        ])
      })

      it('keeps collections with their counts', async () => {
        await expect(graph.putCollection(collectionNode('k', 'a'))).rejects.toThrow(LibraryGoneError)
        await graph.putLibrary(libraryNode('a'))
        await graph.putCollection(collectionNode('k', 'a'))
        await graph.putCollection(collectionNode('k', 'a', { name: 'Renamed' }))
        await graph.putItem(itemNode('i', 'a', { collection_uid: 'k' }))
        const listing = {
          ...collectionNode('k', 'a', { name: 'Renamed' }),
          library_name: 'Library a',
          item_count: 1,
        }
        expect(await graph.getCollection(ALL, 'k')).toEqual(listing)
        expect(await graph.listCollections(ALL, PAGE)).toEqual({ collections: [listing], total: 1 })
        expect(await graph.listCollections(only('b'), PAGE)).toEqual({ collections: [], total: 0 })
        expect(await graph.getCollection(only('b'), 'k')).toBeNull()
      })

      it('deletes a collection with its items', async () => {
        await graph.putLibrary(libraryNode('a'))
        await graph.putCollection(collectionNode('k', 'a'))
        await store(graph, content('i', 'a', [chunk('i1', 'inside')]), { collection_uid: 'k' })
        await store(graph, content('j', 'a', [chunk('j1', 'outside')]))
        expect(await graph.deleteCollection('k')).toMatchObject({ collections: 1, items: 1, chunks: 1 })
        expect(await graph.deleteCollection('k')).toMatchObject({ collections: 0, items: 0 })
        expect(await find(ALL, 'inside outside')).toEqual(['j1'])
      })
    })

    describe('items', () => {
      it('keeps metadata, refuses unknown libraries and collections', async () => {
        await expect(graph.putItem(itemNode('i', 'a'))).rejects.toThrow(LibraryGoneError)
        await graph.putLibrary(libraryNode('a'))
        await graph.putLibrary(libraryNode('b'))
        await graph.putCollection(collectionNode('k', 'b'))
        await expect(graph.putItem(itemNode('i', 'a', { collection_uid: 'k' }))).rejects.toThrow(
          CollectionGoneError,
        )
        expect(await graph.itemVersion('i')).toBeNull()
        const item = itemNode('i', 'a', { metadata: { authors: ['Ada'] }, embedding_status: 'processing' })
        await graph.putItem(item)
        expect(await graph.getItem(ALL, 'i')).toEqual({
          ...item,
          library_name: 'Library a',
          library_type: 'technical',
          collection_name: null,
          embedding_model: null,
          chunk_count: 0,
          image_count: 0,
          version: 0,
        })
        expect(await graph.itemVersion('i')).toBe(0)
        await expect(graph.putItem(itemNode('i', 'b'))).rejects.toThrow(InvalidContentError)
      })

      it('stays searchable as it was while a new version is under way', async () => {
        const old = {
          title: 'Old',
          content_hash: 'old',
          file_type: 'text/markdown',
          file_size: 7,
          s3_key: 'items/i/old/original.md',
          metadata: { authors: ['Ada'] },
        }
        await store(graph, content('i', 'a', [chunk('i1', 'apple')], old))
        await graph.putItem(
          itemNode('i', 'a', {
            title: 'New',
            content_hash: 'new',
            file_type: 'application/octet-stream',
            file_size: 5000,
            s3_key: 'items/i/new/original.bin',
            metadata: {},
            embedding_status: 'processing',
            source: 'spelunker',
          }),
        )
        expect(await graph.getItem(ALL, 'i')).toMatchObject({
          ...old,
          embedding_status: 'completed',
          source: 'spelunker',
          version: 1,
        })
        expect(await find(ALL, 'apple')).toEqual(['i1'])
      })

      it('lists by title within the scope, in pages', async () => {
        for (const library of ['a', 'b']) await graph.putLibrary(libraryNode(library))
        await graph.putCollection(collectionNode('k', 'a'))
        await graph.putItem(itemNode('1', 'a', { title: 'Zebra' }))
        await graph.putItem(itemNode('2', 'a', { title: 'Ant', collection_uid: 'k' }))
        await graph.putItem(itemNode('3', 'b', { title: 'Moth' }))
        const listed = async (scope: Scope, page = PAGE) => {
          const { items, total } = await graph.listItems(scope, { page })
          return [items.map(({ title }) => title), total]
        }
        expect(await listed(ALL)).toEqual([['Ant', 'Moth', 'Zebra'], 3])
        expect(await listed(ALL, { limit: 1, offset: 1 })).toEqual([['Moth'], 3])
        expect(await listed(only('a'))).toEqual([['Ant', 'Zebra'], 2])
        expect(await listed({ libraries: 'all', collection: 'k' })).toEqual([['Ant'], 1])
        expect(await listed({ libraries: ['b'], collection: 'k' })).toEqual([[], 0])
        expect(await graph.getItem(only('a'), '3')).toBeNull()
      })

      it('takes its chunks along into another collection', async () => {
        await graph.putLibrary(libraryNode('a'))
        for (const uid of ['k', 'l']) await graph.putCollection(collectionNode(uid, 'a'))
        await store(graph, content('i', 'a', [chunk('i1', 'apple', [1, 0])]), { collection_uid: 'k' })
        const inside = async (collection: string) => {
          const scope: Scope = { libraries: 'all', collection }
          return [await find(scope, 'apple'), await nearest(scope, vector(1, 0))]
        }
        expect(await inside('k')).toEqual([['i1'], ['i1']])
        await graph.putItem(itemNode('i', 'a', { collection_uid: 'l' }))
        expect(await inside('k')).toEqual([[], []])
        expect(await inside('l')).toEqual([['i1'], ['i1']])
      })

      it('reads chunks in order, one with its neighbours, and their details', async () => {
        const chunks = ['zero', 'one', 'two', 'three'].map((text, i) => ({
          ...chunk(`c${i}`, text, [1, i]),
          section_path: ['Part', text],
          page: i + 1,
        }))
        await graph.putLibrary(libraryNode('a'))
        await graph.putCollection(collectionNode('k', 'a'))
        await store(graph, content('i', 'a', chunks), { collection_uid: 'k' })
        const { chunks: listed, total } = await graph.listChunks(ALL, 'i', { limit: 2, offset: 1 })
        expect([listed.map(({ text }) => text), total]).toEqual([['one', 'two'], 4])
        expect(listed[0]).toEqual({
          chunk_uid: 'c1',
          item_uid: 'i',
          item_title: 'Item i',
          library_uid: 'a',
          library_type: 'technical',
          chunk_index: 1,
          text: 'one',
          s3_key: null,
          section_path: ['Part', 'one'],
          page: 2,
          char_start: 0,
          char_end: 3,
          token_count: 1,
          embedded: true,
        })
        const around = await graph.getChunk(ALL, 'c1', { before: 5, after: 1 })
        expect(
          [around?.before, [around!.chunk], around?.after].map((part) => part?.map((c) => c.text)),
        ).toEqual([['zero'], ['one'], ['two']])
        expect(await graph.neighbours(ALL, ['c3', 'c0', 'unknown', 'c3'])).toEqual([
          { chunk_uid: 'c3', previous: 'c2', next: null },
          { chunk_uid: 'c0', previous: null, next: 'c1' },
        ])
        expect(await graph.chunkDetails(ALL, ['c2', 'unknown', 'c2'])).toEqual([
          {
            chunk_uid: 'c2',
            chunk_index: 2,
            text: 'two',
            section_path: ['Part', 'two'],
            page: 3,
            char_start: 0,
            char_end: 3,
            token_count: 1,
            item_uid: 'i',
            item_title: 'Item i',
            library_uid: 'a',
            library_name: 'Library a',
            library_type: 'technical',
            collection_uid: 'k',
          },
        ])
        expect(await graph.getChunk(only('b'), 'c1')).toBeNull()
        expect(await graph.listChunks(only('b'), 'i', PAGE)).toEqual({ chunks: [], total: 0 })
      })
    })

    describe('content', () => {
      const twoChunks = () => [chunk('c1', 'Paris is lovely', [1, 0]), chunk('c2', 'Rome is old', [0, 1])]
      const cities = [concept('Paris'), concept('Rome')]

      const picture = async () => ({
        stats: { ...(await graph.stats()), bytes: 0 },
        item: await graph.getItem(ALL, 'i'),
        chunks: await graph.listChunks(ALL, 'i', PAGE),
        mentions: await graph.mentions(ALL, ['c1', 'c2']),
        text: await graph.fullTextCandidates(ALL, queryTerms('paris rome'), 10),
        vectors: await graph.vectorCandidates(ALL, vector(1, 0.5), 10),
      })

      it('is the same graph when stored twice', async () => {
        await store(graph, content('i', 'a', twoChunks(), { concepts: cities }))
        const first = await picture()
        expect(await graph.replaceItemContent(content('i', 'a', twoChunks(), { concepts: cities }))).toBe(
          'stored',
        )
        expect(await picture()).toEqual(first)
      })

      it('replaces what changed and keeps the uid of what did not', async () => {
        await store(graph, content('i', 'a', twoChunks(), { concepts: cities }))
        const next = [chunk('c3', 'Oslo is cold', [0.5, 0.5]), chunk('c1', 'Paris is lovely', [1, 0])]
        await graph.replaceItemContent(
          content('i', 'a', next, { version: 2, title: 'Travels', concepts: cities }),
        )
        expect((await graph.listChunks(ALL, 'i', PAGE)).chunks.map(({ chunk_uid }) => chunk_uid)).toEqual([
          'c3',
          'c1',
        ])
        expect((await nearest(ALL, vector(1, 0))).sort()).toEqual(['c1', 'c3'])
        expect(await find(ALL, 'rome')).toEqual([])
        expect((await find(ALL, 'travels')).sort()).toEqual(['c1', 'c3'])
        expect(await named(ALL, 'Paris Rome')).toEqual([['paris', 1]])
      })

      it('never lets an older version replace a newer', async () => {
        await store(graph, content('i', 'a', twoChunks(), { version: 3 }))
        const before = await picture()
        const late = content('i', 'a', [chunk('x', 'late', [1, 1])], { version: 2 })
        expect(await graph.replaceItemContent(late)).toBe('superseded')
        expect(await picture()).toEqual(before)
        expect(await graph.itemVersion('i')).toBe(3)
      })

      it('refuses content for what is gone', async () => {
        await expect(graph.replaceItemContent(content('i', 'a', []))).rejects.toThrow(LibraryGoneError)
        await graph.putLibrary(libraryNode('a'))
        await expect(graph.replaceItemContent(content('i', 'a', []))).rejects.toThrow(ItemGoneError)
      })

      it.each([
        ['a chunk uid twice', [chunk('c', 'x'), chunk('c', 'y')]],
        ['NaN in a vector', [chunk('c', 'x', [1, Number.NaN])]],
        ['an empty vector', [chunk('c', 'x', [])]],
        ['a vector too long', [chunk('c', 'x', Array(4097).fill(1))]],
        ['vectors of several lengths', [chunk('c', 'x', [1]), chunk('d', 'x', [1, 2])]],
      ])('refuses %s, and stores nothing of it', async (_fault, chunks) => {
        await store(graph, content('i', 'a', twoChunks()))
        const before = await picture()
        await expect(graph.replaceItemContent(content('i', 'a', chunks, { version: 2 }))).rejects.toThrow(
          InvalidContentError,
        )
        expect(await picture()).toEqual(before)
      })

      it('rolls all of it back when a chunk uid belongs to another item', async () => {
        await store(graph, content('i', 'a', twoChunks(), { concepts: cities }))
        await store(graph, content('j', 'a', [chunk('j1', 'Lima', [1, 1])]))
        const before = await picture()
        const wrong = content('j', 'a', [chunk('j2', 'Quito', [2, 1]), chunk('c1', 'stolen')], { version: 2 })
        await expect(graph.replaceItemContent(wrong)).rejects.toThrow(InvalidContentError)
        expect(await picture()).toEqual(before)
        await graph.replaceItemContent(content('j', 'a', [chunk('j2', 'Quito', [2, 1])], { version: 2 }))
        expect(await find(ALL, 'quito')).toEqual(['j2'])
      })

      it('shows readers the old content or the new, never a gap or a mix', async () => {
        const generation = (n: number) =>
          content(
            'i',
            'a',
            Array.from({ length: 20 }, (_, i) =>
              chunk(`g${n}c${i}`, `common generation${n}`, [1, (i + 1) / 100]),
            ),
            { version: n },
          )
        await store(graph, generation(1))
        let writing = true
        const writer = (async () => {
          for (let n = 2; n <= 15; n++) await graph.replaceItemContent(generation(n))
          writing = false
        })()
        const seen = new Set<string>()
        while (writing) {
          for (const uids of await Promise.all([
            find(ALL, 'common'),
            nearest(ALL, vector(1, 0)),
            graph.listChunks(ALL, 'i', PAGE).then(({ chunks }) => chunks.map((c) => c.chunk_uid)),
          ])) {
            expect(uids).toHaveLength(20)
            const generations = new Set(uids.map((uid) => uid.split('c')[0]!))
            expect(generations.size).toBe(1)
            for (const one of generations) seen.add(one)
          }
        }
        await writer
        expect(seen.size).toBeGreaterThan(1)
        expect((await find(ALL, 'generation15')).length).toBe(20)
      })

      it('gives vectors for reuse by key', async () => {
        await store(graph, content('i', 'a', twoChunks()))
        const vectors = await graph.reusableVectors(['key of c1', 'unknown', 'key of c2'])
        expect([...vectors]).toEqual([
          ['key of c1', vector(1, 0)],
          ['key of c2', vector(0, 1)],
        ])
      })

      it('completes without vectors, and takes them later', async () => {
        const text = { ...chunk('c1', 'Paris') }
        await store(graph, content('i', 'a', [text], { embedding_model: null }))
        expect(await find(ALL, 'paris')).toEqual(['c1'])
        expect(await graph.vectorCandidates(ALL, vector(1, 0), 5)).toEqual({
          hits: [],
          exact: true,
          scope_size: 0,
          mean: 0,
        })
        await graph.replaceItemContent(
          content('i', 'a', [{ ...text, embedding: vector(1, 0), embedding_key: 'k' }]),
        )
        expect(await nearest(ALL, vector(1, 0))).toEqual(['c1'])
      })

      it.each([1, 384, 2048, 4096])('holds vectors of %i dimensions', async (dimensions) => {
        const random = seeded(dimensions)
        const vectors = Array.from({ length: 60 }, () =>
          Array.from({ length: dimensions }, () => random() - 0.5),
        )
        await store(
          graph,
          content(
            'i',
            'a',
            vectors.map((values, i) => chunk(`c${i}`, 'text', values)),
          ),
        )
        expect((await graph.stats()).dimensions).toBe(dimensions)
        const query = Float32Array.from({ length: dimensions }, () => random() - 0.5)
        const { hits } = await graph.vectorCandidates(ALL, query, 10)
        const expected = vectors
          .map((values) => cosine(query, Float32Array.from(values)))
          .sort((a, b) => b - a)
        for (const [rank, hit] of hits.entries()) expect(hit.cosine).toBeCloseTo(expected[rank]!, 5)
        const other = new Float32Array(dimensions + 1).fill(1)
        await expect(graph.vectorCandidates(ALL, other, 10)).rejects.toThrow(DimensionMismatchError)
        await expect(
          graph.replaceItemContent(
            content('i', 'a', [chunk('d', 'x', [...other]), chunk('c0', 'text', vectors[0]!)]),
          ),
        ).rejects.toThrow(InvalidContentError)
        await graph.putItem(itemNode('j', 'a'))
        if (dimensions < 4096) {
          await expect(
            graph.replaceItemContent(content('j', 'a', [chunk('d', 'x', [...other])])),
          ).rejects.toThrow(DimensionMismatchError)
        }
      })
    })

    describe('setting up vectors', () => {
      it('may be asked for again and anew, and changes no answer', async () => {
        await Promise.all([graph.setUpVectors(2), graph.setUpVectors(2)])
        await store(graph, content('i', 'a', [chunk('c1', 'x', [1, 0]), chunk('c2', 'y', [0, 1])]))
        await graph.setUpVectors(2)
        expect(await nearest(ALL, vector(1, 0.1))).toEqual(['c1', 'c2'])
        await graph.setUpVectors(2, { drop: true })
        expect(await nearest(ALL, vector(1, 0.1))).toEqual(['c1', 'c2'])
        expect(await graph.reusableVectors(['key of c1'])).toEqual(new Map([['key of c1', vector(1, 0)]]))
      })

      it('refuses what does not fit the stored vectors, and takes it when there are none', async () => {
        await store(graph, content('i', 'a', [chunk('c1', 'x', [1, 0])]))
        await expect(graph.setUpVectors(3)).rejects.toThrow(DimensionMismatchError)
        await expect(graph.setUpVectors(3, { drop: true })).rejects.toThrow(DimensionMismatchError)
        expect(await nearest(ALL, vector(1, 0.1))).toEqual(['c1'])
        await graph.deleteLibrary('a')
        await graph.setUpVectors(3)
        await store(graph, content('j', 'b', [chunk('c2', 'x', [1, 0, 2])]))
        expect(await nearest(ALL, vector(1, 0, 0))).toEqual(['c2'])
      })

      it.each([0, -1, 1.5, 4097, Number.NaN])('refuses %d dimensions', async (dimensions) => {
        await expect(graph.setUpVectors(dimensions)).rejects.toThrow(InvalidContentError)
      })
    })

    describe('concepts', () => {
      it('links what is stored later, what was stored before, and across libraries', async () => {
        await store(graph, content('early', 'a', [chunk('e1', 'She saw the Eiffel Tower from afar.')]))
        expect(await mentioned('e1')).toEqual([])
        await store(
          graph,
          content('i', 'b', [chunk('c1', 'Built by Gustave Eiffel.'), chunk('c2', 'Iron.')], {
            title: 'The Eiffel Tower (Paris)',
            concepts: [concept('Eiffel Tower', 'title'), concept('Gustave Eiffel')],
          }),
        )
        await store(graph, content('late', 'c', [chunk('l1', "Eiffel Tower's lifts; a tower of Eiffel.")]))
        expect(await mentioned('e1')).toEqual(['eiffel tower'])
        expect(await mentioned('l1')).toEqual(['eiffel tower'])
        expect(await mentioned('c2')).toEqual(['eiffel tower'])
        expect(await mentioned('c1')).toEqual(['eiffel tower', 'gustave eiffel'])
        const [c2, l1] = await graph.mentions(ALL, ['c2', 'l1'])
        expect(c2?.title_concept).toMatchObject({
          key: 'eiffel tower',
          name: 'Eiffel Tower',
          kind: 'title',
          df: 4,
        })
        expect(l1?.title_concept).toBeNull()
      })

      it('counts within the scope only', async () => {
        await store(
          graph,
          content('i', 'a', [chunk('a1', 'Rome'), chunk('a2', 'Rome')], { concepts: [concept('Rome')] }),
        )
        await store(graph, content('j', 'b', [chunk('b1', 'Rome and Oslo')], { concepts: [concept('Oslo')] }))
        expect(await named(ALL, 'Rome, Oslo')).toEqual([
          ['oslo', 1],
          ['rome', 3],
        ])
        expect(await named(only('a'), 'Rome, Oslo')).toEqual([['rome', 2]])
        expect(await named(only('b'), 'Rome, Oslo')).toEqual([
          ['oslo', 1],
          ['rome', 1],
        ])
        expect(await named(only(), 'Rome, Oslo')).toEqual([])
        expect((await graph.conceptsNamed(only('a'), [])).scope_size).toBe(2)
        const { concepts } = await graph.conceptsNamed(ALL, ['rome'])
        const rome = concepts[0]!.concept_uid
        expect(await graph.chunksMentioning(only('b'), [rome, 'unknown'], 10)).toEqual([
          { concept_uid: rome, chunk_uids: ['b1'] },
        ])
        expect((await graph.chunksMentioning(ALL, [rome], 2))[0]?.chunk_uids).toHaveLength(2)
        expect(
          (await graph.mentions(only('a'), ['a1', 'b1'])).map((m) => [m.chunk_uid, m.concepts[0]?.df]),
        ).toEqual([['a1', 2]])
        expect(
          (await graph.concepts(only('a'), { q: 'ro' }, PAGE)).concepts.map((c) => [c.key, c.chunk_count]),
        ).toEqual([['rome', 2]])
        expect(await graph.concepts(only('a'), { q: 'oslo' }, PAGE)).toEqual({ concepts: [], total: 0 })
        expect((await graph.concepts(ALL, {}, { limit: 1, offset: 1 })).concepts.map((c) => c.key)).toEqual([
          'rome',
        ])
        expect((await graph.itemConcepts(ALL, 'i')).map((c) => [c.key, c.chunk_count])).toEqual([['rome', 2]])
        expect(await graph.itemConcepts(only('b'), 'i')).toEqual([])
        const neighbourhood = await graph.conceptNeighbourhood(ALL, rome, 1)
        expect(neighbourhood?.concepts.map((c) => [c.key, c.distance])).toEqual([
          ['rome', 0],
          ['oslo', 1],
        ])
        expect(neighbourhood?.edges).toHaveLength(1)
        expect((await graph.conceptNeighbourhood(only('a'), rome, 3))?.concepts.map((c) => c.key)).toEqual([
          'rome',
        ])
        const oslo = neighbourhood!.concepts[1]!.concept_uid
        expect(await graph.conceptNeighbourhood(only('a'), oslo, 1)).toBeNull()
      })

      it('knows what chunks are called, and what the scope does not mention is no title', async () => {
        const titled = { title: 'The Rome (city)', concepts: [concept('Rome', 'title')] }
        await store(graph, content('i', 'a', [chunk('a1', 'x'), chunk('a2', 'y')], titled))
        await store(graph, content('j', 'b', [chunk('b1', 'Rome')], { title: 'Oslo' }))
        const rome = (await graph.conceptsNamed(ALL, ['rome'])).concepts[0]!.concept_uid
        const titles = async (scope: Scope, uids: string[]) =>
          (await graph.titleConcepts(scope, uids)).map((one) => [one.chunk_uid, one.title_concept_uid])
        expect(await titles(ALL, ['b1', 'a2', 'unknown', 'a1', 'a2'])).toEqual([
          ['b1', null],
          ['a2', rome],
          ['a1', rome],
        ])
        expect(await titles(only('b'), ['a1', 'b1'])).toEqual([['b1', null]])
        expect(await titles(only(), ['a1', 'b1'])).toEqual([])
      })

      it('follows concepts to the chunks of the scope that mention them, the heaviest first', async () => {
        const concepts = [concept('Rome', 'title'), concept('Oslo'), concept('Bonn')]
        const texts = { a1: 'Rome', a2: 'Oslo', a3: 'Oslo, Bonn', a4: 'Bonn', a5: 'Paris' }
        const chunks = Object.entries(texts).map(([uid, text]) => chunk(uid, text))
        await store(graph, content('i', 'a', chunks, { concepts }))
        await store(graph, content('j', 'b', [chunk('b1', 'Oslo')], { title: 'Rome' }))
        const found = (await graph.conceptsNamed(ALL, ['rome', 'oslo', 'bonn'])).concepts
        const weights = { rome: 1, oslo: 3, bonn: 2 } as Record<string, number>
        const asked = found.map(({ concept_uid, key }) => ({ concept_uid, weight: weights[key]! }))
        const keyOf = new Map(found.map(({ concept_uid, key }) => [concept_uid, key]))
        const linked = async (scope: Scope, among: string[], others: number) => {
          const options = { among, others }
          const answer = await graph.linkedChunks(
            scope,
            [...asked, { concept_uid: 'unknown', weight: 9 }],
            options,
          )
          return Object.fromEntries(
            answer.map((one) => [one.chunk_uid, one.concept_uids.map((uid) => keyOf.get(uid)).sort()]),
          )
        }
        expect(await linked(ALL, [], 10)).toEqual({
          a1: ['rome'],
          a2: ['oslo'],
          a3: ['bonn', 'oslo'],
          a4: ['bonn'],
          b1: ['oslo', 'rome'],
        })
        expect(Object.keys(await linked(ALL, ['a1', 'a5'], 2)).sort()).toEqual(['a1', 'a2', 'a3'])
        expect(Object.keys(await linked(ALL, ['a4'], 0))).toEqual(['a4'])
        expect(await linked(only('b'), ['a1', 'a2'], 10)).toEqual({ b1: ['oslo', 'rome'] })
        expect(await linked(only(), ['a1'], 10)).toEqual({})
        expect(await graph.linkedChunks(ALL, [], { among: ['a1'], others: 10 })).toEqual([])
        const [b1] = await graph.linkedChunks(only('b'), asked, { among: [], others: 1 })
        expect(keyOf.get(b1!.title_concept_uid!)).toBe('rome')
      })

      it('counts within a collection', async () => {
        await graph.putLibrary(libraryNode('a'))
        await graph.putCollection(collectionNode('k', 'a'))
        await store(graph, content('i', 'a', [chunk('a1', 'Rome')], { concepts: [concept('Rome')] }), {
          collection_uid: 'k',
        })
        await store(graph, content('j', 'a', [chunk('a2', 'Rome, Oslo')], { concepts: [concept('Oslo')] }))
        const scope: Scope = { libraries: ['a'], collection: 'k' }
        expect(await named(scope, 'Rome, Oslo')).toEqual([['rome', 1]])
        expect((await graph.concepts(scope, {}, PAGE)).total).toBe(1)
        expect((await graph.conceptsNamed(scope, [])).scope_size).toBe(1)
        const asked = (await graph.conceptsNamed(ALL, ['rome', 'oslo'])).concepts
        const linked = await graph.linkedChunks(
          scope,
          asked.map(({ concept_uid }) => ({ concept_uid, weight: 1 })),
          { among: ['a2'], others: 10 },
        )
        expect(linked.map(({ chunk_uid, concept_uids }) => [chunk_uid, concept_uids.length])).toEqual([
          ['a1', 1],
        ])
      })

      it('stops counting above 200', async () => {
        const chunks = Array.from({ length: 230 }, (_, i) => chunk(`c${i}`, 'Rome'))
        await store(graph, content('i', 'a', chunks, { concepts: [concept('Rome')] }))
        expect(await named(ALL, 'rome')).toEqual([['rome', 201]])
      })

      it('keeps the strongest kind, and takes given links', async () => {
        const linked = { ...chunk('c1', 'The city of light'), concept_keys: ['paris', 'never given'] }
        await store(
          graph,
          content('i', 'a', [linked], { concepts: [{ key: 'Paris', name: 'paris', kind: 'phrase' }] }),
        )
        await store(
          graph,
          content('j', 'a', [chunk('c2', 'Paris')], { concepts: [concept('Paris', 'named')] }),
        )
        const { concepts } = await graph.conceptsNamed(ALL, ['paris'])
        expect(concepts).toMatchObject([{ key: 'paris', name: 'Paris', kind: 'named', df: 2 }])
      })

      it('comes out the same in whatever order items are stored', async () => {
        const names = ['red fox', 'fox', 'brown bear', 'bear', 'snow']
        await fc.assert(
          fc.asyncProperty(
            fc.array(
              fc.record({
                text: fc.array(fc.constantFrom('red', 'fox', 'the', 'brown', 'bear', 'of', 'snow', 'foxes'), {
                  maxLength: 12,
                }),
                concepts: fc.subarray(names),
              }),
              { minLength: 2, maxLength: 5 },
            ),
            async (documents) => {
              const outcomes = []
              for (const order of [documents, documents.toReversed()]) {
                for (const { text, concepts } of order) {
                  const n = documents.findIndex((one) => one.text === text)
                  // As extraction does: an item gives concepts that it names.
                  const given = concepts.filter((one) => ` ${text.join(' ')} `.includes(` ${one} `))
                  await store(
                    graph,
                    content(`i${n}`, 'a', [chunk(`c${n}`, text.join(' '))], {
                      title: 'x',
                      concepts: given.map((one) => concept(one)),
                    }),
                  )
                }
                const all = await graph.mentions(
                  ALL,
                  documents.map((_, n) => `c${n}`),
                )
                outcomes.push(
                  all.map((one) => [one.chunk_uid, one.concepts.map((c) => `${c.key} ${c.df}`).sort()]),
                )
                await graph.deleteLibrary('a')
              }
              expect(outcomes[0]).toEqual(outcomes[1])
            },
          ),
          { numRuns: 15 },
        )
      })
    })

    describe('search', () => {
      it('finds by stem, title and phrase, and ranks the better match first', async () => {
        await store(
          graph,
          content('i', 'a', [chunk('c1', 'The foxes were running.'), chunk('c2', 'A fox, a fox, a run.')], {
            title: 'Animals',
          }),
        )
        await store(
          graph,
          content('j', 'a', [chunk('c3', 'Red is a colour, fox is not.')], { title: 'Red fox' }),
        )
        expect((await find(ALL, 'fox runs'))[0]).toBe('c2')
        expect((await find(ALL, 'animal')).sort()).toEqual(['c1', 'c2'])
        expect(await find(ALL, '"red fox"')).toEqual(['c3'])
        expect(await find(ALL, '"fox red"')).toEqual([])
        expect((await find(ALL, '"fox run"')).sort()).toEqual(['c1', 'c2'])
        expect(await find(ALL, 'fox', 1)).toHaveLength(1)
      })

      it('finds what holds every phrase, in title or text, however many score better by their words', async () => {
        const noise = Array.from({ length: 40 }, (_, i) =>
          chunk(`n${i}`, 'Golden fox gate, golden fox gate.'),
        )
        await store(graph, content('i', 'a', noise))
        const long = 'Of many other things, none of any interest, it tells at length'
        await store(graph, content('j', 'a', [chunk('c1', `${long}, and of the golden gates of a red fox.`)]))
        await store(graph, content('k', 'a', [chunk('c2', `${long}.`)], { title: 'The golden gate' }))
        await store(graph, content('l', 'b', [chunk('c3', 'Golden gate.')]))
        expect((await find(only('a'), 'gate golden', 5)).every((uid) => uid.startsWith('n'))).toBe(true)
        expect((await find(only('a'), '"golden gate" golden fox', 5)).sort()).toEqual(['c1', 'c2'])
        expect((await find(ALL, '"golden gate"')).sort()).toEqual(['c1', 'c2', 'c3'])
        expect(await find(ALL, '"golden gate" "red fox"')).toEqual(['c1'])
        expect(await find(ALL, '"golden gate" "green fox"')).toEqual([])
        expect(await find(only('a'), '"golden gate', 5)).toEqual(await find(only('a'), 'golden gate', 5))
      })

      it('scores with BM25, k1 0.9, b 0.4, the title counted twice', async () => {
        await store(graph, content('i', 'a', [chunk('c1', 'apple pear apple')], { title: 'plum' }))
        await store(graph, content('j', 'b', [chunk('c2', 'pear')], { title: 'apple' }))
        const [first, second] = await graph.fullTextCandidates(ALL, queryTerms('apple'), 5)
        const idf = Math.log(1 + (2 - 2 + 0.5) / (2 + 0.5))
        const bm25 = (tf: number, length: number) =>
          (idf * tf * 1.9) / (tf + 0.9 * (0.6 + (0.4 * length) / 4))
        expect([first?.chunk_uid, second?.chunk_uid]).toEqual(['c2', 'c1'])
        expect(first?.bm25).toBeCloseTo(bm25(2, 3), 9)
        expect(second?.bm25).toBeCloseTo(bm25(2, 5), 9)
        expect([first?.ideal, second?.ideal]).toEqual(
          [bm25(1, 4), bm25(1, 4)].map((ideal) => expect.closeTo(ideal, 9)),
        )
        expect(
          await graph.scoreChunks(only('a'), ['c2', 'c1', 'c1'], { terms: queryTerms('apple').terms }),
        ).toEqual([{ chunk_uid: 'c1', cosine: null, bm25: second?.bm25 }])
      })

      it('scores what stands together: side by side in the order of the query, and within eight terms', async () => {
        const far = 'red one two three four five six seven fox'
        const texts = {
          near: 'red fox blue bear',
          apart: 'red bear blue fox',
          turned: 'fox red blue bear',
          far,
        }
        for (const [uid, text] of Object.entries(texts)) {
          await store(graph, content(`i-${uid}`, 'a', [chunk(uid, text)], { title: 'x' }))
        }
        await store(graph, content('i-title', 'a', [chunk('title', 'fox blue bear')], { title: 'red' }))
        const query = queryTerms('red fox')
        const hits = await graph.fullTextCandidates(ALL, query, 5)
        const score = new Map(hits.map((hit) => [hit.chunk_uid, hit.bm25]))
        // Every passage holds both words, so all have one idf; of five with 6, 6, 6, 11 and 5 terms.
        const idf = Math.log(1 + 0.5 / 5.5)
        const points = (weight: number, length: number) =>
          (weight * 1.9) / (1 + 0.9 * (0.6 + (0.4 * length) / (34 / 5)))
        expect(score.get('near')).toBeCloseTo(
          points(idf, 6) * 2 + points(0.5 * idf, 6) + points(0.15 * idf, 6),
          9,
        )
        expect(score.get('apart')).toBeCloseTo(points(idf, 6) * 2 + points(0.15 * idf, 6), 9)
        expect(score.get('turned')).toBe(score.get('apart'))
        expect(score.get('far')).toBeCloseTo(points(idf, 11) * 2, 9)
        expect(hits[0]?.chunk_uid).toBe('near')
        const twice = (idf * 2 * 1.9) / (2 + 0.9 * (0.6 + (0.4 * 5) / (34 / 5)))
        expect(score.get('title')).toBeCloseTo(twice + points(idf, 5), 9)
        const chosen = await graph.scoreChunks(ALL, [...score.keys()], { terms: query.terms })
        expect(new Map(chosen.map(({ chunk_uid, bm25 }) => [chunk_uid, bm25]))).toEqual(score)
      })

      it('scores chosen chunks by cosine, those without a vector by null', async () => {
        await store(
          graph,
          content('i', 'a', [chunk('c1', 'x', [3, 4]), chunk('c2', 'y'), chunk('c3', 'z', [0, 0])]),
        )
        const scores = await graph.scoreChunks(ALL, ['c1', 'c2', 'c3'], { vector: vector(1, 0), terms: [] })
        expect(scores.map(({ cosine: c }) => c && Number(c.toFixed(6)))).toEqual([0.6, null, 0])
        const candidates = await graph.vectorCandidates(ALL, vector(1, 0), 5)
        expect(candidates).toMatchObject({ exact: true, scope_size: 2 })
        expect(candidates.mean).toBeCloseTo(0.3, 6)
      })

      it('sees nothing with an empty scope, an unknown library or the wrong type', async () => {
        await store(graph, content('i', 'a', [chunk('c1', 'apple', [1, 0])]))
        for (const scope of [
          only(),
          only('unknown'),
          { libraries: ['a'], library_type: 'music' },
          { libraries: ['a'], collection: 'unknown' },
        ] satisfies Scope[]) {
          expect(await find(scope, 'apple')).toEqual([])
          expect(await graph.vectorCandidates(scope, vector(1, 0), 5)).toMatchObject({
            hits: [],
            scope_size: 0,
          })
          expect(await graph.chunkDetails(scope, ['c1'])).toEqual([])
          expect(await graph.neighbours(scope, ['c1'])).toEqual([])
          expect(await graph.scoreChunks(scope, ['c1'], { terms: ['appl'] })).toEqual([])
        }
      })

      it('stays in step with every kind of write', async () => {
        await store(graph, content('i', 'a', [chunk('c1', 'x', [1, 0]), chunk('c2', 'x', [0, 1])]))
        expect(await nearest(ALL, vector(1, 0.1))).toEqual(['c1', 'c2'])
        await store(graph, content('j', 'a', [chunk('c3', 'x', [1, 0.1])]))
        expect(await nearest(ALL, vector(1, 0.1))).toEqual(['c3', 'c1', 'c2'])
        await graph.replaceItemContent(content('i', 'a', [chunk('c2', 'x', [0.9, 0.1])], { version: 2 }))
        expect(await nearest(ALL, vector(1, 0.1))).toEqual(['c3', 'c2'])
        await graph.deleteItem('j')
        expect(await nearest(ALL, vector(1, 0.1))).toEqual(['c2'])
        await graph.deleteLibrary('a')
        expect(await nearest(ALL, vector(1, 0.1))).toEqual([])
        await store(graph, content('k', 'b', [chunk('c4', 'x', [1, 1, 1])]))
        expect(await nearest(ALL, vector(1, 1, 1))).toEqual(['c4'])
      })
    })

    scopeContract(() => graph, openSecond, { approximates, rounds })

    describe('hostile text', () => {
      const nasty = [
        'NUL \u0000 in the middle',
        '"unbalanced AND (quotes OR NEAR(',
        'scope:l1 OR body:"*" NOT -x ^y {a b}:c',
        "'; DROP TABLE chunks; --",
        '* * * ( ) " " : ^ - + { } [ ]',
        'AND OR NOT NEAR',
        '+scope:(*) OR *:* title:[* TO *] fox~2 "fox bear"~3^9 /fo.*/ _exists_:x \\" \\',
        "}) MATCH (n) DETACH DELETE n // $libs `c` ' }",
        'fo* f?x fo% f_x /^(a+)+$/ [a-z]+ .*',
        '水泵 启动 ปั๊มน้ำ пуск насоса 𐌰𐍄𐍄𐌰 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣',
        '\u202eright to left\u202c and 👩‍👩‍👧 and e\u0301\u0301\u0301',
        'x'.repeat(100_000),
        'word '.repeat(20_000),
        '',
      ]

      it('comes back as it went in', async () => {
        await store(
          graph,
          content(
            'i',
            'a',
            nasty.map((text, i) => chunk(`c${i}`, text)),
            { title: nasty[2]! },
          ),
        )
        const { chunks } = await graph.listChunks(ALL, 'i', PAGE)
        expect(chunks.map(({ text }) => text)).toEqual(nasty)
        expect((await graph.getItem(ALL, 'i'))?.title).toBe(nasty[2])
      })

      it('comes back from every field that a person may fill', async () => {
        for (const [n, text] of nasty.entries()) {
          const name = text.slice(0, 2_000)
          const library = libraryNode('a', {
            name,
            description: name,
            embedding_instruction: name,
            reranker_instruction: name,
            llm_context_prompt: name,
            owner_username: name.slice(0, 100),
            chunking_config: { [name]: name },
          })
          await graph.putLibrary(library)
          expect(await graph.getLibrary(ALL, 'a')).toEqual(library)
          const collection = collectionNode('k', 'a', { name, description: name })
          await graph.putCollection(collection)
          expect(await graph.getCollection(ALL, 'k')).toMatchObject(collection)
          const item = itemNode(`i${n}`, 'a', {
            title: name,
            source: name,
            source_ref: name,
            error: name,
            metadata: { [name]: [name] },
            collection_uid: 'k',
          })
          await graph.putItem(item)
          expect(await graph.getItem(ALL, `i${n}`)).toMatchObject(item)
          const stored = { ...chunk(`c${n}`, text), section_path: [name, ''], s3_key: name }
          await graph.replaceItemContent(
            content(`i${n}`, 'a', [stored], {
              title: name,
              concepts: [{ key: `rome ${n}`, name, kind: 'named', concept_type: name }],
            }),
          )
          expect((await graph.listChunks(ALL, `i${n}`, PAGE)).chunks[0]).toMatchObject({
            text,
            item_title: name,
            section_path: [name, ''],
            s3_key: name,
          })
        }
      })

      it('stores a lone surrogate as U+FFFD', async () => {
        await store(graph, content('i', 'a', [chunk('c', 'a\ud800b')], { title: '\udc00' }))
        expect(await graph.getChunk(ALL, 'c')).toMatchObject({
          chunk: { text: 'a\ufffdb', item_title: '\ufffd' },
        })
      })

      it.each(nasty.map((text) => [text.slice(0, 40), text]))(
        'is no syntax in a query: %s',
        async (_name, text) => {
          await store(graph, content('i', 'a', [chunk('in', `apple ${text.slice(0, 5000)}`, [1])]))
          await store(graph, content('j', 'b', [chunk('out', `apple ${text.slice(0, 5000)}`, [1])]))
          const from = performance.now()
          for (const query of [text, `apple ${text}`, `"${text}"`, `"apple" ${text}`]) {
            for (const hit of await find(only('a'), query)) expect(hit).toBe('in')
          }
          const raw = { terms: [text, 'appl'], phrases: [] }
          expect((await graph.fullTextCandidates(only('a'), raw, 10)).map((hit) => hit.chunk_uid)).toEqual([
            'in',
          ])
          expect(
            await graph.fullTextCandidates(only('a'), { terms: ['appl'], phrases: [[text, text]] }, 10),
          ).toEqual([])
          await graph.conceptsNamed(only('a'), [...conceptKeys(text), text])
          await graph.concepts(only('a'), { q: text }, PAGE)
          expect(await graph.getItem(only('a'), text)).toBeNull()
          expect(await graph.libraries(only(text))).toEqual({ libraries: [], total: 0 })
          expect(performance.now() - from).toBeLessThan(5_000)
        },
      )
    })

    describe('deletion', () => {
      it('takes all of a library, and leaves the concepts that others mention', async () => {
        await graph.putLibrary(libraryNode('a', { workspace_id: 'w' }))
        await graph.putCollection(collectionNode('k', 'a'))
        const chunks = Array.from({ length: 450 }, (_, i) => chunk(`c${i}`, `Rome and Oslo ${i}`, [1, i]))
        await store(
          graph,
          content('i', 'a', chunks, { concepts: [concept('Rome'), concept('Oslo')], image_count: 2 }),
        )
        await store(graph, content('j', 'b', [chunk('b1', 'Rome', [1, 1])]))
        const counts = await graph.deleteLibrary('a')
        expect(counts).toEqual({
          libraries: 1,
          collections: 1,
          items: 1,
          chunks: 450,
          images: 2,
          embeddings: 450,
          mentions: 900,
          concepts: 1,
        })
        expect(await graph.deleteLibrary('a')).toMatchObject({ libraries: 0, chunks: 0 })
        expect(await named(ALL, 'Rome Oslo')).toEqual([['rome', 1]])
        expect(await graph.stats()).toMatchObject({
          libraries: 1,
          items: 1,
          chunks: 1,
          embeddings: 1,
          mentions: 1,
        })
        await graph.putLibrary(libraryNode('c', { workspace_id: 'w' }))
        expect(await nearest(ALL, vector(1, 1))).toEqual(['b1'])
      })

      it('lets other writes in between, and refuses content for the library', async () => {
        const chunks = Array.from({ length: 1500 }, (_, i) => chunk(`c${i}`, `text ${i}`))
        await store(graph, content('i', 'a', chunks))
        await graph.putLibrary(libraryNode('b'))
        let over = false
        const deletion = graph.deleteLibrary('a').then(() => {
          over = true
        })
        await graph.putItem(itemNode('j', 'b'))
        expect(over).toBe(false)
        expect(await find(ALL, 'text')).toEqual([])
        expect(await graph.getItem(ALL, 'i')).toBeNull()
        await expect(graph.replaceItemContent(content('i', 'a', [chunk('x', 'late')]))).rejects.toThrow(
          LibraryGoneError,
        )
        await expect(graph.putItem(itemNode('k', 'a'))).rejects.toThrow(LibraryGoneError)
        await deletion
      })

      it('takes an item with what only it mentions', async () => {
        await store(graph, content('i', 'a', [chunk('c1', 'Rome', [1])], { concepts: [concept('Rome')] }))
        expect(await graph.deleteItem('i')).toMatchObject({
          items: 1,
          chunks: 1,
          embeddings: 1,
          mentions: 1,
          concepts: 1,
        })
        expect(await graph.deleteItem('i')).toMatchObject({ items: 0, chunks: 0 })
        await expect(graph.replaceItemContent(content('i', 'a', []))).rejects.toThrow(ItemGoneError)
      })
    })

    describe('the store itself', () => {
      it('keeps everything when closed and opened again', async () => {
        await store(
          graph,
          content('i', 'a', [chunk('c1', 'Rome \u0000 wasn’t built', [1, 2])], {
            concepts: [concept('Rome')],
          }),
        )
        const look = async () => [
          { ...(await graph.stats()), bytes: 0 },
          await graph.getItem(ALL, 'i'),
          await graph.chunkDetails(ALL, ['c1']),
          await graph.vectorCandidates(ALL, vector(1, 0), 5),
          await graph.fullTextCandidates(ALL, queryTerms('rome'), 5),
          await graph.mentions(ALL, ['c1']),
        ]
        const before = await look()
        const old = graph
        graph = await opened.reopen()
        expect(await look()).toEqual(before)
        await expect(old.ping()).rejects.toThrow(GraphClosedError)
        await old.close()
        await store(graph, content('j', 'a', [chunk('c2', 'Rome again', [2, 1])]))
        expect(await named(ALL, 'rome')).toEqual([['rome', 2]])
      })

      it('drops a question when its signal aborts', async () => {
        const reason = new Error('gone away')
        await expect(graph.ping({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
        const abort = new AbortController()
        const answer = graph.stats({ signal: abort.signal })
        abort.abort(reason)
        await expect(answer).rejects.toBe(reason)
        await graph.ping()
      })
    })
  })
}

function cosine(a: Float32Array, b: Float32Array): number {
  let ab = 0
  let aa = 0
  let bb = 0
  for (const [i, value] of a.entries()) {
    ab += value * b[i]!
    aa += value * value
    bb += b[i]! * b[i]!
  }
  return ab / Math.sqrt(aa * bb)
}

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
