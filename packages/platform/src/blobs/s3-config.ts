import { z } from 'zod'
import { about, ConfigError, Flag, secret } from '../config.ts'

/** Where a bucket is, and who we are there. */
export interface S3Location {
  /** http://… or https://… */
  endpoint: string
  region: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
  /** Whether the certificate has to be a valid one. */
  verify: boolean
  /** Variables that the above come from: errors name those to look at. */
  variables: S3VariableNames
}
type Given = 'endpoint' | 'region' | 'bucket' | 'accessKeyId' | 'secretAccessKey'
export type S3VariableNames = Record<Given | 'useSsl' | 'verify', string>

const text = z.string().optional()
const endpointWords = 'address of the S3 server, such as https://s3.example.org:9000'
const sslWords = 'whether an address without http:// or https:// means https'
const verifyWords = "whether the server's certificate has to be valid"

/** The variables of our own bucket. */
export const s3Variables = {
  USE_LOCAL_STORAGE: about(
    Flag.optional(),
    'True: blobs are files in the data folder; False: they are in the bucket; unset: in the bucket if there is one',
  ),
  AWS_S3_ENDPOINT_URL: about(text, endpointWords),
  AWS_ACCESS_KEY_ID: secret(about(text, 'access key of the own bucket')),
  AWS_SECRET_ACCESS_KEY: secret(about(text, 'its secret')),
  AWS_STORAGE_BUCKET_NAME: about(
    z.string().default('mnemosyne-content'),
    'the own bucket; made when it is missing',
  ),
  AWS_S3_REGION_NAME: about(z.string().default('us-east-1'), 'region of the own bucket'),
  AWS_S3_USE_SSL: about(Flag.default(true), sslWords),
  AWS_S3_VERIFY: about(Flag.default(true), verifyWords),
}
type S3Config = z.infer<z.ZodObject<typeof s3Variables>>

const sourceVariables = (owner: string, bucket: string) => ({
  ENDPOINT_URL: about(text, endpointWords),
  ACCESS_KEY_ID: secret(about(text, `access key with which ${owner}'s files are read`)),
  SECRET_ACCESS_KEY: secret(about(text, 'its secret')),
  BUCKET_NAME: about(z.string().default(bucket), `${owner}'s bucket; only read`),
  REGION_NAME: about(z.string().default('us-east-1'), `region of ${owner}'s bucket`),
  USE_SSL: about(Flag.default(true), sslWords),
  VERIFY: about(Flag.default(true), verifyWords),
})
type SourceVariables = ReturnType<typeof sourceVariables>
type Prefixed<P extends string> = {
  [Name in keyof SourceVariables as `${P}_S3_${Name}`]: SourceVariables[Name]
}
type SourceConfig<P extends string> = z.infer<z.ZodObject<Prefixed<P>>>

/** The variables of another program's bucket: `DAEDALUS` for `DAEDALUS_S3_ENDPOINT_URL` and so on. */
export function s3SourceVariables<P extends string>(program: P): Prefixed<P> {
  const lower = program.toLowerCase()
  const owner = program.charAt(0) + lower.slice(1)
  const entries = Object.entries(sourceVariables(owner, lower))
  return Object.fromEntries(entries.map(([name, field]) => [`${program}_S3_${name}`, field])) as Prefixed<P>
}

/**
 * Our own bucket; undefined when blobs are files in the data folder. Throws ConfigError, which lists what is
 * missing.
 */
export function s3Location(service: string, config: S3Config): S3Location | undefined {
  if (config.USE_LOCAL_STORAGE) return undefined
  return locationOf(service, {
    needed: config.USE_LOCAL_STORAGE === false,
    useSsl: config.AWS_S3_USE_SSL,
    verify: config.AWS_S3_VERIFY,
    values: {
      endpoint: config.AWS_S3_ENDPOINT_URL,
      region: config.AWS_S3_REGION_NAME,
      bucket: config.AWS_STORAGE_BUCKET_NAME,
      accessKeyId: config.AWS_ACCESS_KEY_ID,
      secretAccessKey: config.AWS_SECRET_ACCESS_KEY,
    },
    variables: {
      endpoint: 'AWS_S3_ENDPOINT_URL',
      region: 'AWS_S3_REGION_NAME',
      bucket: 'AWS_STORAGE_BUCKET_NAME',
      accessKeyId: 'AWS_ACCESS_KEY_ID',
      secretAccessKey: 'AWS_SECRET_ACCESS_KEY',
      useSsl: 'AWS_S3_USE_SSL',
      verify: 'AWS_S3_VERIFY',
    },
  })
}

/** Another program's bucket; undefined when none is configured. Throws ConfigError, which lists what is missing. */
export function s3SourceLocation<P extends string>(
  service: string,
  program: P,
  config: SourceConfig<P>,
): S3Location | undefined {
  const values = config as Record<string, string | boolean | undefined>
  const name = (variable: keyof SourceVariables) => `${program}_S3_${variable}`
  const variables: S3VariableNames = {
    endpoint: name('ENDPOINT_URL'),
    region: name('REGION_NAME'),
    bucket: name('BUCKET_NAME'),
    accessKeyId: name('ACCESS_KEY_ID'),
    secretAccessKey: name('SECRET_ACCESS_KEY'),
    useSsl: name('USE_SSL'),
    verify: name('VERIFY'),
  }
  const { useSsl, verify, ...given } = Object.fromEntries(
    Object.entries(variables).map(([what, variable]) => [what, values[variable]]),
  )
  return locationOf(service, {
    needed: false,
    useSsl: useSsl === true,
    verify: verify === true,
    values: given as Values,
    variables,
  })
}

type Values = Record<Given, string | undefined>

interface Settings {
  /** Whether nothing at all is a fault. */
  needed: boolean
  useSsl: boolean
  verify: boolean
  values: Values
  variables: S3VariableNames
}

/** What has no default: given all together, or not at all. */
const TOGETHER = ['endpoint', 'accessKeyId', 'secretAccessKey'] as const

function locationOf(service: string, given: Settings): S3Location | undefined {
  const { values, variables, verify } = given
  const missing = TOGETHER.filter((what) => !values[what])
  if (missing.length === TOGETHER.length && !given.needed) return undefined
  const faults = missing.map((what) => `${variables[what]} is missing`)
  const endpoint = values.endpoint ? endpointOf(values.endpoint, given.useSsl) : undefined
  if (values.endpoint && !endpoint)
    faults.push(`${variables.endpoint}: must be a host, or a URL with http or https, without credentials`)
  if (faults.length > 0) throw new ConfigError(service, faults)
  return { ...(values as Record<Given, string>), endpoint: endpoint as string, verify, variables }
}

/** Undefined when it is no address. */
function endpointOf(text: string, useSsl: boolean): string | undefined {
  const url = URL.parse(
    /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${useSsl ? 'https' : 'http'}://${text}`,
  )
  const plain = url && !url.username && !url.password && !url.search && !url.hash
  if (!plain || !['http:', 'https:'].includes(url.protocol)) return undefined
  return url.href.replace(/\/$/, '')
}
