import { expect, test } from 'vitest'
import { seeded } from '../../../bench/random.ts'
import { DistributedSystem } from '../distributed-system.ts'
import { walk } from '../identity-model/walk.ts'
import { World } from '../identity-model/world.ts'
import { mode, type SystemInMode, startInMode } from '../mode.ts'

const USERS = ['ada', 'bob', 'cyd', 'dan']
const FILLED = ['w0', 'w1', 'w2', 'w3']

/** Every way in: gateways for REST, and for MCP those and the services behind them. */
function doorsOf(system: SystemInMode) {
  if (!(system instanceof DistributedSystem)) return { rest: [system.url], mcp: [system.url] }
  const { gateway, mcp } = system.cluster.processes
  const rest = gateway.map(({ url }) => url)
  return { rest, mcp: [...rest, ...mcp.map(({ url }) => url)] }
}

test('after each of many random grants and revocations, every credential reads what the rules say, at every door', async () => {
  const seed = Number(process.env.IDENTITY_SEED ?? Math.floor(Math.random() * 2 ** 31))
  // Where replicas might know different things, more of them.
  const steps = Number(process.env.IDENTITY_STEPS ?? (mode() === 'distributed' ? 1_000 : 300))
  const replicas = { gateway: 2, auth: 2, library: 2, mcp: 2 }
  await using system = await startInMode({ replicas })
  const world = new World({ ...doorsOf(system), admin: system.token })
  const kid = 'first'
  const key = await world.asAdmin('POST', '/admin/api/signing-keys/', { kid })
  expect(key.status, key.text).toBe(200)
  world.model.kid = kid
  for (const user of USERS) await world.addUser(user)
  for (const [n, workspace_id] of FILLED.entries()) {
    const owner = USERS[n]!
    const { secret } = world.model.tokens.find(({ user }) => user === owner)!
    const { library_uid } = await system.createWorkspace(workspace_id, {}, secret)
    world.model.addLibrary(library_uid, workspace_id, owner)
    await world.fill(library_uid, owner)
  }
  try {
    await walk(world, steps, seeded(seed))
  } catch (cause) {
    throw new Error(`IDENTITY_SEED=${seed} IDENTITY_STEPS=${steps} walks the same way again`, { cause })
  }
}, 900_000)
