import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readJsonObject } from './unambiguous-json.ts'

const read = (text: string) => readJsonObject(Buffer.from(text))

test('reads what any program would read', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const text = JSON.stringify(value)
      expect(read(text)).toEqual(JSON.parse(text))
      expect(readJsonObject(Buffer.from(JSON.stringify(value, null, '\t')))).toEqual(JSON.parse(text))
    }),
  )
})

test('refuses a name that stands twice, wherever and however it is written', () => {
  const escaped = (name: string) =>
    `"${[...name].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary-ascii' }),
      fc.jsonValue(),
      fc.dictionary(fc.string(), fc.jsonValue()),
      (name, value, other) => {
        const twice = `{${JSON.stringify(name)}:1,"${'x'.repeat(9)}":${JSON.stringify(value)},${escaped(name)}:1}`
        expect(read(twice)).toBeUndefined()
        expect(read(`{"a":[${JSON.stringify(other)},{"b":${twice}}]}`)).toBeUndefined()
      },
    ),
  )
})

test.each(['', ' ', '{', '[]', '[{}]', 'null', '1', '"a"', '{"a":1}}', "{'a':1}", '\ufeff{}', '{"a":NaN}'])(
  'refuses %j',
  (text) => expect(read(text)).toBeUndefined(),
)

test('refuses what is no UTF-8', () => {
  expect(readJsonObject(Buffer.from('7b2261223a22ff227d', 'hex'))).toBeUndefined()
})
