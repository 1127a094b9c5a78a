import { describe, expect, it } from 'vitest'
import { conceptKey, conceptKeys, titleConceptKey } from './concept-keys.ts'
import { queryTerms } from './query.ts'
import { analyse, STOP_WORDS, stem, terms } from './terms.ts'
import { words } from './words.ts'

describe('stem', () => {
  // From Snowball's own sample vocabulary for English.
  it.each(
    Object.entries({
      consign: 'consign',
      consigned: 'consign',
      consistency: 'consist',
      consistently: 'consist',
      consolatory: 'consolatori',
      consolingly: 'consol',
      conspiracy: 'conspiraci',
      constables: 'constabl',
      knackeries: 'knackeri',
      knights: 'knight',
      knives: 'knive',
      knock: 'knock',
      skies: 'sky',
      dying: 'die',
      ugly: 'ugli',
      news: 'news',
      generously: 'generous',
      hopping: 'hop',
      happy: 'happi',
      yearly: 'year',
      saying: 'say',
      flying: 'fli',
      sensational: 'sensat',
      rationalisation: 'rationalis',
      as: 'as',
      by: 'by',
    }),
  )('%s → %s', (word, expected) => expect(stem(word)).toBe(expected))

  // The stemmer's own mark for a consonant Y is the digit 3.
  it.each(['3', '1003', '2031', 'h3n2', '3d', 'p53s', 'müde', '東京'])('leaves %s alone', (word) => {
    expect(stem(word)).toBe(word)
  })
})

describe('terms', () => {
  it.each([
    ['The quick foxes were running', ['quick', 'fox', 'run']],
    ["John's tail isn't Mary’s", ['john', 'tail', 'isn', 'mari']],
    ['', []],
    [' \u0000\n"*():^-+{}', []],
    ['AND OR NOT NEAR', ['near']],
    ['café CAFÉ cafe\u0301 Ångström Straße', ['cafe', 'cafe', 'cafe', 'angstrom', 'strass']],
    ['ﬁne １２３ ①', ['fine', '123', '1']],
    ['моё й हिन्दी', ['моё', 'й', 'हिन्दी']],
    ['東京都', ['東京', '京都', '東', '京', '都']],
    ['ひらがな カ', ['ひら', 'らが', 'がな', 'カ']],
    ['서울에서', ['서울', '울에', '에서']],
    ['a\ud800b c\udc00', ['b', 'c']],
    ['👩‍👩‍👧 ok', ['ok']],
  ])('%j', (text, expected) => expect(terms(text)).toEqual(expected))

  it.each([
    ['call snake_case now', 'snake_case', ['snake', 'case']],
    ['foo.bar() is called', 'foo.bar', ['foo', 'bar']],
    ['see ERR-1234.', 'err-1234', ['err', '1234']],
    ['std::map<int>', 'std::map', ['std', 'map']],
    ['1,000,000 people', '1000000', ['1', '000']],
    ['at 10:30', '10:30', ['10', '30']],
    ['version v1.2.3', 'v1.2.3', ['v1', '2', '3']],
    ['in C++ and', 'c++', ['c']],
    ['in C# and', 'c#', ['c']],
    ['MAX_VALUE', 'max_value', ['max', 'valu']],
    ['getUserName', 'getusernam', ['get', 'user', 'name']],
    ['JavaScript', 'javascript', ['java', 'script']],
  ])('finds an identifier whole and by its parts: %s', (text, whole, parts) => {
    expect(terms(text)).toEqual(expect.arrayContaining([whole, ...parts]))
    expect(terms(whole)).toContain(whole)
  })

  it('adds nothing for hyphenated words and plain sentences', () => {
    expect(analyse('A state-of-the-art, well-known one; see: here. Then: there').extras).toEqual([])
  })

  it('gives every stop word up', () => {
    for (const word of STOP_WORDS) expect(terms(word)).toEqual([])
  })

  it('cuts long words without parting a pair of surrogates', () => {
    expect(terms('x'.repeat(1000))).toEqual(['x'.repeat(64)])
    expect(terms(`${'x'.repeat(63)}𝒜𝒜`.normalize('NFC'))[0]!.isWellFormed()).toBe(true)
    expect(terms(`${'x'.repeat(63)}𐐀𐐀`)[0]!.isWellFormed()).toBe(true)
  })
})

describe('queryTerms', () => {
  it.each([
    ['red "brown fox" jumps', ['red', 'brown', 'fox', 'jump'], [['brown', 'fox']]],
    [
      '“state of the art” „zwei Wörter“',
      ['state', 'art', 'zwei', 'worter'],
      [
        ['state', 'art'],
        ['zwei', 'worter'],
      ],
    ],
    ['"the of"', [], []],
    ['"東京都"', ['東京', '京都', '東', '京', '都'], [['東京', '京都']]],
    ['"unclosed here', ['unclos', 'here'], []],
    ['title:x AND (y* OR -z)', ['titl', 'x', 'y', 'z'], []],
    ['', [], []],
  ])('%s', (text, expected, phrases) => expect(queryTerms(text)).toEqual({ terms: expected, phrases }))

  it.each([
    ['letters', 'a'.repeat(100_000)],
    ['operators', '*()":^-+'.repeat(12_500)],
    ['quotes', '"'.repeat(100_000)],
    ['underscores', '_'.repeat(100_000)],
    ['dotted', 'a.'.repeat(50_000)],
    ['camel', 'aB'.repeat(50_000)],
    ['accents', `e${'\u0301'.repeat(100_000)}`],
    ['ideographs', '漢'.repeat(100_000)],
    ['colons', 'a::'.repeat(33_000)],
    ['commas', '1,'.repeat(50_000)],
    ['parentheses', '('.repeat(100_000)],
    ['apostrophes', "a'".repeat(50_000)],
    ['surrogates', '\ud800'.repeat(100_000)],
  ])('takes bounded time and gives bounded output for 100,000 characters of %s', (_name, text) => {
    const from = performance.now()
    const query = queryTerms(text)
    terms(text)
    conceptKeys(text)
    titleConceptKey(text)
    expect(performance.now() - from).toBeLessThan(500)
    expect(query.terms.length).toBeLessThanOrEqual(256)
    expect(query.phrases.length).toBeLessThanOrEqual(16)
  })
})

describe('concept keys', () => {
  it.each([
    ['The Lord of the Rings', 'lord of the rings'],
    ["Newton's Laws", 'newton laws'],
    ['A an the Beatles', 'beatles'],
    ['São Paulo', 'sao paulo'],
    ['東京都', '東 京 都'],
    ['The Who', null],
    ['one two three four five six seven', null],
    ['…', null],
    ['', null],
  ])('%s → %s', (name, expected) => {
    expect(conceptKey(name)).toBe(expected)
    if (expected !== null) expect(conceptKey(expected)).toBe(expected)
  })

  it('leaves parentheses out of a title', () => {
    expect(titleConceptKey('Mercury (planet)')).toBe('mercury')
    expect(titleConceptKey('('.repeat(10_000))).toBeNull()
  })

  it('names every run of up to six words that is more than stop words', () => {
    expect(conceptKeys('who is the king')).toEqual(['who is the king', 'is the king', 'the king', 'king'])
    expect(conceptKeys('a b c d e f g').filter((key) => key.split(' ').length > 6)).toEqual([])
    expect(conceptKeys('one two', 1)).toEqual(['one', 'two'])
    expect(conceptKeys('x '.repeat(50_000)).length).toBeLessThan(4096)
  })

  it('finds a name inside text without spaces', () => {
    expect(conceptKeys('私は東京都に行く')).toContain('東 京 都')
    expect(words('私は東京')).toEqual(['私', 'は', '東', '京'])
  })
})
