import { LIBRARY_TYPES, LibraryTypeInfo } from '@mnemosyne/contracts'
import { expect, test } from 'vitest'
import { libraryTypeList } from './library-types.ts'

test('there is data for every library type, in the order of the contract', () => {
  expect(libraryTypeList.map(({ library_type }) => library_type)).toEqual([...LIBRARY_TYPES])
})

test.each(libraryTypeList)('$library_type is whole and its sizes agree', (info) => {
  const { chunking_config: sizes, ...rest } = LibraryTypeInfo.parse(info)
  expect(sizes.min_tokens).toBeLessThan(sizes.target_tokens)
  expect(sizes.target_tokens).toBeLessThan(sizes.max_tokens)
  expect(sizes.overlap_tokens).toBeLessThan(sizes.target_tokens)
  for (const text of Object.values(rest)) expect(text.length).toBeGreaterThan(0)
})
