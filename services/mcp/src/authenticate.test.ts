import { authInternalContract, createClient } from '@mnemosyne/contracts'
import { createLog, createSigner, createVerifier, generateAssertionKeys } from '@mnemosyne/platform'
import { expect, test } from 'vitest'
import { authenticate } from './authenticate.ts'

test('a credential that is too long is refused as a whole, and not taken for what it begins with', async () => {
  const keys = await generateAssertionKeys('k1')
  const asked: string[] = []
  const deps = {
    verify: await createVerifier('mcp', keys),
    sign: await createSigner('mcp', keys),
    auth: createClient(authInternalContract, {
      fetch: async (request) => {
        asked.push((await request.json()).credential.authorization)
        return Response.json({ outcome: 'refused', reason: 'unknown_token', detail: 'Invalid MCP token.' })
      },
    }),
    log: createLog({ component: 'mcp', level: 'silent' }),
  }
  const present = (length: number) => {
    const authorization = `Bearer good ${'x'.repeat(length)}`.slice(0, length)
    return authenticate(new Request('http://mcp/mcp', { headers: { authorization } }), deps)
  }
  const refused = { outcome: 'refused', reason: 'unknown_token', detail: 'Invalid MCP token.' }
  expect(await present(16_385)).toEqual(refused)
  expect(asked).toEqual([])
  expect(await present(16_384)).toEqual(refused)
  expect(asked).toEqual([expect.stringMatching(/^Bearer good x{16372}$/)])
})
