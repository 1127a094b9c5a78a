import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Embedder } from '../port.ts'

const ODD_TEXTS: [string, string][] = [
  ['nothing', ''],
  ['white space', ' \n\t '],
  ['NUL', 'a\0b\0'],
  ['an unpaired surrogate', 'left \ud83d right \ude00'],
  ['emoji, joined', '👨‍👩‍👧‍👦 🏳️‍🌈'],
  ['right to left with marks', '\u202eאבג\u202c العربية'],
  ['combining marks', 'e\u0301\u0302\u0303'.repeat(50)],
  ['no spaces', '漢字仮名交じり文'.repeat(20)],
  ['special tokens spelled out', '[CLS] [SEP] [PAD] [MASK] </s>'],
]

/** What every adapter of the embedding port promises, as a vitest suite. `open` is called once a test group. */
export function embedderContract(name: string, open: () => Promise<Embedder>): void {
  describe(`embedder contract: ${name}`, () => {
    let embedder: Embedder
    beforeAll(async () => {
      embedder = await open()
    })
    afterAll(() => embedder?.close())

    it('names its model', () => {
      const { model } = embedder
      expect(model.name).not.toBe('')
      expect(model.revision).not.toBe('')
      expect(model.dimensions).toBeGreaterThan(0)
      expect(model.maxTokens).toBeGreaterThan(0)
    })

    it('answers a ping', () => embedder.ping())

    it('makes normalised vectors of the stated length', async () => {
      const vectors = await embedder.embedPassages(['one', 'two words', PARAGRAPH])
      vectors.push(await embedder.embedQuery('a query'))
      for (const vector of vectors) {
        expect(vector).toBeInstanceOf(Float32Array)
        expect(vector).toHaveLength(embedder.model.dimensions)
        expect(dot(vector, vector)).toBeCloseTo(1, 5)
      }
    })

    it('gives a text the same vector alone and among others', async () => {
      const [alone] = await embedder.embedPassages([PARAGRAPH])
      const others = Array.from({ length: 12 }, (_, n) => `${'filler '.repeat(n * 7)}${n}`)
      const among = await embedder.embedPassages([...others, PARAGRAPH, ...others])
      expect(farthest(alone!, among[others.length]!)).toBeLessThan(1e-6)
    })

    it('gives a query the same vector from the model as from a cache', async () => {
      const first = await embedder.embedQuery('how are rockets steered?')
      const cached = await embedder.embedQuery('how are rockets steered?')
      const again = await embedder.embedQuery('how are rockets steered?', { cache: false })
      expect(farthest(first, cached)).toBe(0)
      expect(farthest(first, again)).toBeLessThan(1e-6)
    })

    it('keeps its vectors when a caller changes the one it got', async () => {
      const mine = await embedder.embedQuery('whose vector is this?')
      const before = mine.slice()
      mine.fill(0)
      expect(farthest(await embedder.embedQuery('whose vector is this?'), before)).toBeLessThan(1e-6)
    })

    it('keeps the order of passages', async () => {
      const texts = Array.from({ length: 20 }, (_, n) => `${'word '.repeat((n * 13) % 40)}number ${n}`)
      const together = await embedder.embedPassages(texts)
      for (const n of [0, 7, 19]) {
        const [alone] = await embedder.embedPassages([texts[n]!])
        expect(farthest(alone!, together[n]!)).toBeLessThan(1e-6)
      }
    })

    it('answers no passages with no vectors', async () => {
      expect(await embedder.embedPassages([])).toEqual([])
      expect(await embedder.countTokens([])).toEqual([])
    })

    it.each(ODD_TEXTS)('has a vector for %s', async (_, text) => {
      const [passage] = await embedder.embedPassages([text])
      const query = await embedder.embedQuery(text, { cache: false })
      for (const vector of [passage!, query]) expect(dot(vector, vector)).toBeCloseTo(1, 5)
      expect((await embedder.countTokens([text]))[0]).toBeGreaterThanOrEqual(0)
    })

    it.each([
      ['sentences', 'All work and no play makes a dull tool. '.repeat(2_500)],
      ['one word', 'a'.repeat(100_000)],
      ['spaces', `${' '.repeat(99_990)}the end`],
      ['surrogates', '😀'.repeat(50_000)],
    ])('cuts 100,000 characters of %s, soon', async (_, text) => {
      const started = performance.now()
      const [vector] = await embedder.embedPassages([text])
      await embedder.embedQuery(text)
      expect(performance.now() - started).toBeLessThan(5_000)
      expect(dot(vector!, vector!)).toBeCloseTo(1, 5)
    })

    it('puts a paraphrase nearer than an unrelated sentence', async () => {
      const [near, far] = await embedder.embedPassages([
        'The physician examined the sick child at the clinic.',
        'Interest rates on government bonds rose sharply.',
      ])
      const query = await embedder.embedQuery('A doctor looked at an ill kid in the hospital.')
      expect(dot(query, near!)).toBeGreaterThan(dot(query, far!) + 0.1)
    })

    it('lets an instruction change a vector only where the model takes one', async () => {
      const instruction = 'Find the legal clause that answers the question.'
      const plain = await embedder.embedQuery('notice period', { cache: false })
      const instructed = await embedder.embedQuery('notice period', { cache: false, instruction })
      const same = farthest(plain, instructed) < 1e-6
      expect(same).toBe(!embedder.model.takesInstructions)
    })

    it('counts tokens without special ones and without cutting', async () => {
      const [none, few, many] = await embedder.countTokens(['', 'hello world', 'hello world '.repeat(3_000)])
      expect(none).toBe(0)
      expect(few).toBeGreaterThanOrEqual(2)
      expect(many).toBeGreaterThanOrEqual(6_000)
    })

    it('refuses a call whose signal is aborted', async () => {
      const signal = AbortSignal.abort(new Error('not wanted'))
      await expect(embedder.embedPassages(['x'], { signal })).rejects.toThrow('not wanted')
      await expect(embedder.embedQuery('x', { signal })).rejects.toThrow('not wanted')
    })

    it('drops waiting passages when aborted, and goes on serving', async () => {
      const controller = new AbortController()
      const started = performance.now()
      const bulk = embedder.embedPassages(Array(2_000).fill(PARAGRAPH), { signal: controller.signal })
      await embedder.embedQuery('something in between', { cache: false })
      controller.abort(new Error('enough'))
      await expect(bulk).rejects.toThrow('enough')
      expect(await embedder.embedPassages(['after'])).toHaveLength(1)
      expect(performance.now() - started).toBeLessThan(5_000)
    })

    it('serves a query soon while passages wait', async () => {
      const controller = new AbortController()
      const bulk = embedder.embedPassages(Array(2_000).fill(PARAGRAPH), { signal: controller.signal })
      const started = performance.now()
      for (let n = 0; n < 5; n++) await embedder.embedQuery(`query ${n}`, { cache: false })
      const each = (performance.now() - started) / 5
      controller.abort(new Error('enough'))
      await expect(bulk).rejects.toThrow('enough')
      expect(each).toBeLessThan(1_000)
    })

    it('closes while busy: calls in hand and later ones reject as closed', async () => {
      const other = await open()
      const bulk = other.embedPassages(Array(500).fill(PARAGRAPH))
      const refused = expect(bulk).rejects.toMatchObject({ code: 'embedder_closed', retryable: false })
      await other.embedQuery('now it is busy', { cache: false })
      await other.close()
      await refused
      await expect(other.embedPassages(['late'])).rejects.toMatchObject({ code: 'embedder_closed' })
      await expect(other.ping()).rejects.toMatchObject({ code: 'embedder_closed' })
      await other.close()
    })
  })
}

const PARAGRAPH =
  'The aqueduct carried spring water across the valley on three tiers of arches. Its builders used no mortar; ' +
  'each block was cut so that weight alone would hold it. Where the channel crossed the river, sluices let the ' +
  'engineers drain a section and scrape off the lime that the water left behind.'

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0)
}

function farthest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)
}
