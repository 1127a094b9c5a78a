import { LIST_LIMIT_MAX } from '@mnemosyne/contracts'
import type { McpServer, ReadResourceResult } from '@modelcontextprotocol/server'
import type { ToolScope } from './tools/register.ts'

/** Libraries in one reading; who has more pages through list_libraries. */
const LIBRARIES_MAX = 1_000

/** The two resources: how evidence of each library type is to be read, and what the caller can read. */
export function registerResources(server: McpServer, { principal, services, sign }: ToolScope): void {
  const asCaller = async (signal: AbortSignal) => ({
    context: { delegations: { library: await sign(principal, 'library') } },
    signal,
  })

  server.registerResource(
    'library-types',
    'mnemosyne://library-types',
    {
      title: 'Library types',
      description: 'The types of library, each with the prompt that tells how to read evidence from it.',
      mimeType: 'application/json',
    },
    async (uri, { mcpReq }) => {
      const types = await services.library.libraryTypes.list({}, await asCaller(mcpReq.signal))
      return json(uri, {
        library_types: types.map(({ library_type, description, llm_context_prompt }) => ({
          library_type,
          description,
          llm_context_prompt,
        })),
      })
    },
  )

  server.registerResource(
    'libraries',
    'mnemosyne://libraries',
    {
      title: 'Libraries',
      description: 'The libraries that this connection may read.',
      mimeType: 'application/json',
    },
    async (uri, { mcpReq }) => {
      const options = await asCaller(mcpReq.signal)
      const libraries = []
      for (let offset = 0, total = 1; offset < Math.min(total, LIBRARIES_MAX); offset += LIST_LIMIT_MAX) {
        const page = await services.library.libraries.list({ limit: LIST_LIMIT_MAX, offset }, options)
        total = Number(page.headers['x-total-count'])
        libraries.push(...page.body)
      }
      return json(uri, {
        libraries: libraries.map(({ uid, name, library_type, description }) => ({
          uid,
          name,
          library_type,
          description,
        })),
      })
    },
  )
}

function json(uri: URL, value: unknown): ReadResourceResult {
  return { contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify(value, null, 2) }] }
}
