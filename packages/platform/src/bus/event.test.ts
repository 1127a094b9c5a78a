import { expect, it } from 'vitest'
import { z } from 'zod'
import { cloudEvent, eventMessage, readEvent } from './event.ts'
import { Unprocessable } from './port.ts'

const data = z.object({ library_uid: z.string(), count: z.number() })
const envelope = cloudEvent({
  type: 'library.created.v1',
  source: '/library',
  id: 'e1',
  time: new Date('2026-11-03T10:00:00Z'),
  data: { library_uid: 'l1', count: 1 },
  traceparent: '00-abc',
})

it('makes an envelope that is read again', () => {
  expect(envelope).toEqual({
    specversion: '1.0',
    type: 'library.created.v1',
    source: '/library',
    id: 'e1',
    time: '2026-11-03T10:00:00.000Z',
    datacontenttype: 'application/json',
    traceparent: '00-abc',
    data: { library_uid: 'l1', count: 1 },
  })
  const message = eventMessage(envelope)
  expect(message).toMatchObject({ kind: 'event', destination: 'library.created.v1', id: 'e1' })
  expect(readEvent(message, data).data.count).toBe(1)
})

it.each([
  ['no envelope', 'text', 'not a CloudEvent'],
  ['another version of CloudEvents', { ...envelope, specversion: '2.0' }, 'specversion'],
  ['a local time', { ...envelope, time: '2026-11-03 10:00' }, 'time'],
  [
    'data of another shape',
    { ...envelope, data: { library_uid: 'secret', count: 'x' } },
    'data of library.created.v1: count',
  ],
])('does not read %s, and does not quote it', (_, body, why) => {
  const read = () => readEvent({ ...eventMessage(envelope), body }, data)
  expect(read).toThrow(Unprocessable)
  expect(read).toThrow(why)
  expect(read).not.toThrow('secret')
})
