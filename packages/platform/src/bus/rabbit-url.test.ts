import { describe, expect, it } from 'vitest'
import { InvalidBrokerUrl } from './port.ts'
import { parseBrokerUrl } from './rabbit-url.ts'

describe('parseBrokerUrl', () => {
  it.each([
    [
      'amqp://host',
      { protocol: 'amqp', hostname: 'host', port: 5672, username: 'guest', password: 'guest', vhost: '/' },
    ],
    ['amqps://u:p@host/v', { protocol: 'amqps', port: 5671, username: 'u', password: 'p', vhost: 'v' }],
    ['amqp://u:p@host:80', { port: 80 }],
    ['amqp://u:p@host:443/', { port: 443, vhost: '/' }],
    ['amqp://u:p@[::1]:5673/%2F', { hostname: '::1', port: 5673, vhost: '%2F' }],
    ['amqp://u:a%23b%2Fc%40d%25@host', { password: 'a#b/c@d%' }],
    ['amqp://u:a@b@host', { password: 'a@b', hostname: 'host' }],
    ['amqp://u:a:b@host', { password: 'a:b' }],
  ])('%s', (url, expected) => {
    expect(parseBrokerUrl(url)).toMatchObject(expected)
  })

  it.each([
    'amqp://user:s3cr#t@host',
    'amqp://user:s3cr/t@host:5672/v',
    'amqp://user:s3cr?t@host',
    'amqp://user:s3cr%t@host',
    'amqp://user:s3cr[t@ho st',
    'amqp://user:s3crt@host:notaport',
    'amqp://user:s3crt@host/a/b',
    'amqp://user:s3crt@host?heartbeat=1',
    'http://user:s3crt@host',
    'amqp://',
    '',
  ])('%s is refused without being quoted', (url) => {
    const refusal = (() => {
      try {
        return parseBrokerUrl(url)
      } catch (error) {
        return error
      }
    })()
    expect(refusal).toBeInstanceOf(InvalidBrokerUrl)
    const { message, cause, stack } = refusal as InvalidBrokerUrl
    expect(message).toContain('percent-encoded')
    expect(`${message}${String(cause)}${stack}`).not.toContain('s3cr')
  })
})
