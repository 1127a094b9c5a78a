import {
  accountsContract,
  adminContract,
  authContract,
  CSRF_HEADER,
  goldenQueriesContract,
  ingestAdminContract,
  ingestContract,
  Job,
  libraryAdminContract,
  libraryContract,
  membersContract,
  SESSION_COOKIE,
  searchContract,
  teamsContract,
  UPLOAD_PATH,
  UploadFields,
} from '@mnemosyne/contracts'
import { type OpenAPI, OpenAPIGenerator } from '@orpc/openapi'
import { ZodToJsonSchemaConverter } from '@orpc/zod/zod4'
import { z } from 'zod'

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const

type PathItem = Partial<Record<(typeof METHODS)[number], OpenAPI.OperationObject>>

export interface ApiDocument {
  openapi: string
  paths: Record<string, PathItem>
}

const SCHEMAS = {
  Detail: {
    type: 'object',
    required: ['detail'],
    properties: { detail: { type: 'string', description: 'What went wrong, for a person.' } },
  },
  FieldFaults: {
    type: 'object',
    description: 'What is wrong with the input, by field.',
    additionalProperties: { type: 'array', items: { type: 'string' } },
  },
} satisfies Record<string, OpenAPI.SchemaObject>

const RETRY_AFTER = { description: 'Seconds.', schema: { type: 'integer' } } as const

const RESPONSES = {
  BadRequest: refusal('The input is not valid.', 'FieldFaults', 'Detail'),
  Unauthorized: {
    ...refusal('No credential, or one that is not accepted.', 'Detail'),
    headers: { 'WWW-Authenticate': { schema: { type: 'string' } } },
  },
  Forbidden: refusal('You may see the thing, but not do this to it.', 'Detail'),
  NotFound: refusal('There is no such thing, or it is not yours to see.', 'Detail'),
  Conflict: refusal('The state of the thing does not allow this.', 'Detail'),
  TooManyLogins: {
    ...refusal('Too many failed logins.', 'Detail'),
    headers: { 'Retry-After': RETRY_AFTER },
  },
  TooLarge: refusal('The body is too large.', 'Detail'),
  Unavailable: {
    ...refusal('Credentials cannot be checked, a store is down, or too much is asked for at once.', 'Detail'),
    headers: { 'Retry-After': RETRY_AFTER },
  },
  NoSpace: refusal('No space is left to store this.', 'Detail'),
} satisfies Record<string, OpenAPI.ResponseObject>

const SECURITY_SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer', description: 'A user token (`mnem_…`).' },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: SESSION_COOKIE,
    description: 'What a browser is given when it signs in.',
  },
  csrf: {
    type: 'apiKey',
    in: 'header',
    name: CSRF_HEADER,
    description: "Beside the cookie, with every request that changes something: the session's `csrf_token`.",
  },
} satisfies Record<string, OpenAPI.SecuritySchemeObject>

type Security = Partial<Record<keyof typeof SECURITY_SCHEMES, string[]>>[]

const BY_SESSION: Security = [{ session: [] }]
const BY_SESSION_WRITING: Security = [{ session: [], csrf: [] }]

/** Operations that are not open to a bearer and a session alike. */
const SECURITY_OF: Record<string, Security> = {
  'accounts.login': [],
  'accounts.session': BY_SESSION,
  'accounts.logout': BY_SESSION_WRITING,
}

/** Operations that look at a password. */
const LIMITED = ['accounts.login', 'auth.changePassword']

/** The OpenAPI 3.1 document of the public API, from the contracts that the services serve. */
export async function openApiDocument(): Promise<ApiDocument> {
  const generator = new OpenAPIGenerator({ schemaConverters: [new ZodToJsonSchemaConverter()] })
  const document = await generator.generate(
    {
      accounts: accountsContract,
      auth: authContract,
      teams: teamsContract,
      library: libraryContract,
      goldenQueries: goldenQueriesContract,
      members: membersContract,
      ingest: ingestContract,
      search: searchContract,
      admin: { ...adminContract, library: libraryAdminContract, ingest: ingestAdminContract },
    },
    {
      info: {
        title: 'Mnemosyne',
        version: '0.1.0',
        description:
          'Documents in, ranked and cited evidence out. Paths work with and without the last slash.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/' }],
      security: [{ bearer: [] }, ...BY_SESSION],
      components: {
        securitySchemes: SECURITY_SCHEMES,
        schemas: SCHEMAS,
        responses: RESPONSES,
      },
    },
  )
  const paths: ApiDocument['paths'] = {
    ...withLastSlash(document.paths as ApiDocument['paths']),
    [UPLOAD_PATH]: { post: uploadOperation() },
  }
  for (const item of Object.values(paths)) {
    for (const method of METHODS) {
      const operation = item[method]
      if (!operation) continue
      operation.responses = { ...operation.responses, ...refusalsOf(operation, method) }
      const writing: Security = [{ bearer: [] }, ...BY_SESSION_WRITING]
      const security = SECURITY_OF[operation.operationId ?? ''] ?? (method === 'get' ? undefined : writing)
      if (security) operation.security = security as OpenAPI.SecurityRequirementObject[]
    }
  }
  return { ...document, paths }
}

/** The generator cuts off the last slash, with which the contracts write every path. */
function withLastSlash(paths: ApiDocument['paths']): ApiDocument['paths'] {
  return Object.fromEntries(Object.entries(paths).map(([path, item]) => [`${path}/`, item]))
}

/** Streamed to storage, so it stands beside the contracts: fields first, then `file`. */
function uploadOperation(): OpenAPI.OperationObject {
  const { $schema: _, ...fields } = z.toJSONSchema(UploadFields, { io: 'input' }) as OpenAPI.SchemaObject & {
    $schema?: string
  }
  const { $schema: __, ...job } = z.toJSONSchema(Job) as OpenAPI.SchemaObject & { $schema?: string }
  return {
    operationId: 'ingest.upload',
    tags: ['ingest'],
    summary: 'Upload a document; its file comes last',
    requestBody: {
      required: true,
      content: {
        'multipart/form-data': {
          schema: {
            ...fields,
            properties: { ...fields.properties, file: { type: 'string', format: 'binary' } },
            required: ['file'],
          } as OpenAPI.SchemaObject,
        },
      },
    },
    responses: {
      202: { description: 'The new job.', content: { 'application/json': { schema: job } } },
      200: {
        description: 'The job that the same document had made before.',
        content: { 'application/json': { schema: job } },
      },
    },
  }
}

function refusalsOf(operation: OpenAPI.OperationObject, method: string): OpenAPI.ResponsesObject {
  const hasInput = operation.requestBody !== undefined || (operation.parameters?.length ?? 0) > 0
  const inPath = operation.parameters?.some((parameter) => 'in' in parameter && parameter.in === 'path')
  return {
    ...(hasInput && { 400: reference('BadRequest') }),
    401: reference('Unauthorized'),
    ...(method !== 'get' && { 403: reference('Forbidden'), 507: reference('NoSpace') }),
    ...((inPath || method === 'post') && { 404: reference('NotFound') }),
    ...(method === 'post' && { 409: reference('Conflict') }),
    ...(LIMITED.includes(operation.operationId ?? '') && { 429: reference('TooManyLogins') }),
    ...(operation.requestBody && { 413: reference('TooLarge') }),
    503: reference('Unavailable'),
  }
}

function reference(name: keyof typeof RESPONSES): OpenAPI.ReferenceObject {
  return { $ref: `#/components/responses/${name}` }
}

function refusal(description: string, ...schemas: (keyof typeof SCHEMAS)[]): OpenAPI.ResponseObject {
  const references = schemas.map((name) => ({ $ref: `#/components/schemas/${name}` }))
  const schema = references.length === 1 ? references[0]! : { anyOf: references }
  return { description, content: { 'application/json': { schema } } }
}
