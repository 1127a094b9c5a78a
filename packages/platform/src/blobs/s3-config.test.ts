import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ConfigError, parseConfig, printConfig } from '../config.ts'
import { s3Location, s3SourceLocation, s3SourceVariables, s3Variables } from './s3-config.ts'

const own = z.object(s3Variables)
const daedalus = z.object(s3SourceVariables('DAEDALUS'))
const keys = { AWS_ACCESS_KEY_ID: 'key-of-ours', AWS_SECRET_ACCESS_KEY: 'secret-of-ours' }
const given = { ...keys, AWS_S3_ENDPOINT_URL: 'http://s3:9000' }
const locate = (env: Record<string, string>) => s3Location('ingest', parseConfig('ingest', own, env))
const locateDaedalus = (env: Record<string, string>) =>
  s3SourceLocation('ingest', 'DAEDALUS', parseConfig('ingest', daedalus, env))

function faultsOf(work: () => unknown): string[] {
  try {
    work()
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  throw new Error('it was accepted')
}

describe('variables of the own bucket', () => {
  it('are enough with endpoint and key', () => {
    expect(locate(given)).toMatchObject({
      endpoint: 'http://s3:9000',
      region: 'us-east-1',
      bucket: 'mnemosyne-content',
      accessKeyId: 'key-of-ours',
      secretAccessKey: 'secret-of-ours',
      verify: true,
    })
  })

  it.each<[string, Record<string, string>]>([
    ['nothing is set', {}],
    ['only a name is set', { AWS_STORAGE_BUCKET_NAME: 'x' }],
    ['the folder is asked for', { ...given, USE_LOCAL_STORAGE: 'True' }],
  ])('mean the folder when %s', (_, env) => {
    expect(locate(env)).toBeUndefined()
  })

  it.each<[Record<string, string>, string[]]>([
    [{ USE_LOCAL_STORAGE: 'False' }, ['AWS_S3_ENDPOINT_URL', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']],
    [keys, ['AWS_S3_ENDPOINT_URL']],
    [{ AWS_S3_ENDPOINT_URL: 's3' }, ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']],
    [{ AWS_SECRET_ACCESS_KEY: 'x' }, ['AWS_S3_ENDPOINT_URL', 'AWS_ACCESS_KEY_ID']],
  ])('are refused by halves: %j', (env, missing) => {
    expect(faultsOf(() => locate(env))).toEqual(missing.map((name) => `${name} is missing`))
  })

  it.each<[string, string, string | undefined]>([
    ['https://s3.example.org', 'True', 'https://s3.example.org'],
    ['https://s3.example.org', 'False', 'https://s3.example.org'],
    ['s3.example.org:9000', 'True', 'https://s3.example.org:9000'],
    ['s3.example.org:9000', 'False', 'http://s3.example.org:9000'],
    ['10.0.0.5', 'False', 'http://10.0.0.5'],
    ['http://gate/s3/', 'True', 'http://gate/s3'],
    ['ftp://s3', 'True', undefined],
    ['http://user:hidden@s3', 'True', undefined],
    ['http://s3?x=1', 'True', undefined],
    ['not an address', 'True', undefined],
  ])('take the endpoint %j with SSL %s for %j', (endpoint, ssl, expected) => {
    const env = { ...given, AWS_S3_ENDPOINT_URL: endpoint, AWS_S3_USE_SSL: ssl }
    if (expected) return expect(locate(env)?.endpoint).toBe(expected)
    const [fault, ...others] = faultsOf(() => locate(env))
    expect(others).toEqual([])
    expect(fault).toMatch(/^AWS_S3_ENDPOINT_URL: must be a host/)
    expect(fault).not.toContain('hidden')
  })

  it('hide the keys when they are printed', () => {
    const printed = printConfig(own, parseConfig('ingest', own, given))
    expect(printed).not.toMatch(/of-ours/)
    expect(printed).toContain('AWS_ACCESS_KEY_ID=****')
    expect(printed).toContain('AWS_S3_ENDPOINT_URL=http://s3:9000')
  })
})

describe("variables of another program's bucket", () => {
  const env = {
    DAEDALUS_S3_ENDPOINT_URL: 's3:9000',
    DAEDALUS_S3_ACCESS_KEY_ID: 'reader',
    DAEDALUS_S3_SECRET_ACCESS_KEY: 'hidden',
    DAEDALUS_S3_USE_SSL: 'False',
    DAEDALUS_S3_VERIFY: 'no',
  }

  it('are named after it', () => {
    expect(locateDaedalus(env)).toEqual({
      endpoint: 'http://s3:9000',
      region: 'us-east-1',
      bucket: 'daedalus',
      accessKeyId: 'reader',
      secretAccessKey: 'hidden',
      verify: false,
      variables: {
        endpoint: 'DAEDALUS_S3_ENDPOINT_URL',
        region: 'DAEDALUS_S3_REGION_NAME',
        bucket: 'DAEDALUS_S3_BUCKET_NAME',
        accessKeyId: 'DAEDALUS_S3_ACCESS_KEY_ID',
        secretAccessKey: 'DAEDALUS_S3_SECRET_ACCESS_KEY',
        useSsl: 'DAEDALUS_S3_USE_SSL',
        verify: 'DAEDALUS_S3_VERIFY',
      },
    })
    const { DAEDALUS_S3_USE_SSL: _, ...secure } = env
    expect(locateDaedalus(secure)?.endpoint).toBe('https://s3:9000')
  })

  it('are none, all, or refused', () => {
    expect(locateDaedalus({})).toBeUndefined()
    expect(faultsOf(() => locateDaedalus({ DAEDALUS_S3_ACCESS_KEY_ID: 'reader' }))).toEqual([
      'DAEDALUS_S3_ENDPOINT_URL is missing',
      'DAEDALUS_S3_SECRET_ACCESS_KEY is missing',
    ])
  })
})
