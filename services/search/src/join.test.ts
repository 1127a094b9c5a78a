import type { ChunkDetail } from '@mnemosyne/graph'
import { expect, test } from 'vitest'
import { joinedPassage } from './join.ts'

const DOCUMENT = 'Close the valve. Prime the pump. Open the valve.\n\nStore it dry.'

interface Part {
  /** As it stands in the document. */
  body: string
  context?: string
  section?: string[]
  page?: number | null
}

function chunk({ body, context = '', section = ['Use'], page = 1 }: Part, chunk_index: number): ChunkDetail {
  const char_start = DOCUMENT.indexOf(body)
  return {
    ...{ chunk_uid: String(chunk_index), chunk_index, item_uid: 'i', item_title: 'T', library_uid: 'l' },
    ...{ library_name: 'L', library_type: 'technical', collection_uid: null, token_count: 1 },
    ...{ text: context + body, section_path: section, page, char_start, char_end: char_start + body.length },
  }
}

test.each<[string, Part[], string]>([
  ['one', [{ body: 'Prime the pump.' }], 'Prime the pump.'],
  [
    'a space between',
    [{ body: 'Close the valve.' }, { body: 'Prime the pump.' }],
    'Close the valve. Prime the pump.',
  ],
  [
    'what both hold once',
    [{ body: 'Close the valve. Prime the pump.' }, { body: 'Prime the pump. Open the valve.' }],
    'Close the valve. Prime the pump. Open the valve.',
  ],
  [
    'the headings once',
    [
      { context: 'Manual › Use\n\n', body: 'Close the valve.' },
      { context: 'Manual › Use\n\n', body: 'Prime the pump.' },
    ],
    'Manual › Use\n\nClose the valve. Prime the pump.',
  ],
  [
    'other headings where they change',
    [
      { context: 'Manual › Use\n\n', body: 'Open the valve.' },
      { context: 'Manual › Winter\n\n', body: 'Store it dry.' },
    ],
    'Manual › Use\n\nOpen the valve.\n\nManual › Winter\n\nStore it dry.',
  ],
  [
    'a gap as a paragraph',
    [{ body: 'Close the valve.' }, { body: 'Store it dry.' }],
    'Close the valve.\n\nStore it dry.',
  ],
  ['a word that was cut', [{ body: 'Close the val' }, { body: 've. Prime' }], 'Close the valve. Prime'],
])('text: %s', (_, parts, text) => {
  expect(joinedPassage(parts.map(chunk)).text).toBe(text)
})

test('keeps all text where the ranges are wrong', () => {
  const wrong = {
    ...chunk({ body: 'Prime the pump.' }, 1),
    text: 'Something else.',
    char_start: 0,
    char_end: 15,
  }
  expect(joinedPassage([chunk({ body: 'Close the valve.' }, 0), wrong]).text).toBe(
    'Close the valve.\n\nSomething else.',
  )
})

test('stands where the first begins and the last ends, under the headings of all', () => {
  const parts: Part[] = [
    { body: 'Close the valve.', section: ['Use', 'Start'], page: null },
    { body: 'Prime the pump.', section: ['Use', 'Start'], page: 2 },
    { body: 'Store it dry.', section: ['Use', 'Winter'], page: 3 },
  ]
  expect(joinedPassage(parts.map(chunk))).toMatchObject({
    section_path: ['Use'],
    page: 2,
    char_start: 0,
    char_end: DOCUMENT.length,
  })
})
