import type { SigningKey } from '@mnemosyne/contracts'
import type { SystemClient } from '../../client.ts'
import { clientOf } from './clients.ts'
import type { Holding } from './holdings.ts'
import type { Person } from './people.ts'
import { CAST, KID, type World } from './world.ts'

/** Everything that stands in the world, each as its owner (or staff) sees it: nothing of it is ever changed. */
export async function snapshotOf(world: World): Promise<Record<string, unknown>> {
  const { system, kim, people, tokens, teams, accounts } = world
  const seen = await Promise.all([
    ...keptHoldings(world).map(async ([name, keeper, holding]) => [
      name,
      await contentsOf(clientOf(system, keeper), holding),
    ]),
    ...[...Object.values(people), kim].flatMap((person) => [
      ...Object.entries(tokens[person.name]!).map(async ([name, id]) => [
        `token of ${person.name}, ${name}`,
        await tokenOf(clientOf(system, person), id),
      ]),
      ...Object.entries(teams[person.name]!).map(async ([name, id]) => [
        `team of ${person.name}, ${name}`,
        await read(clientOf(system, person), `/mcp_server/api/teams/${id}/`),
      ]),
    ]),
    ...[...Object.entries(accounts), ...CAST.map((name) => [name, people[name].id] as const)].map(
      async ([name, id]) => [`account ${name}`, await read(system, `/admin/api/users/${id}/`)],
    ),
  ])
  return { ...Object.fromEntries(seen), key: await keyOf(world) }
}

function keptHoldings({ holdings, people, kim }: World): [string, Person, Holding][] {
  const shared: [string, Person, Holding][] = [
    ['everybody', people.admin, holdings.admin.global],
    ['unshared', kim, holdings.ada.foreign],
  ]
  const ofEach = CAST.flatMap((name): [string, Person, Holding][] => {
    const { own, 'co-owner': coOwner, manager, reader } = holdings[name]
    return [
      [`${name}'s own`, people[name], own],
      [`${name} as co-owner`, kim, coOwner],
      [`${name} as manager`, kim, manager],
      [`${name} as reader`, kim, reader],
    ]
  })
  return [...shared, ...ofEach]
}

async function contentsOf(client: SystemClient, { library_uid, job_id }: Holding) {
  const at = `/library/api/libraries/${library_uid}/`
  const [library, members, items, collections, jobs, job] = await Promise.all([
    read(client, at),
    read(client, `${at}members/`),
    read(client, `/library/api/items/?library_uid=${library_uid}`),
    read(client, `/library/api/collections/?library_uid=${library_uid}`),
    read(client, `/library/api/jobs/?library_uid=${library_uid}`),
    read(client, `/library/api/jobs/${job_id}/`),
  ])
  return { library, members, items, collections, jobs, job }
}

/** Without the moment of its last use. */
async function tokenOf(client: SystemClient, id: string): Promise<unknown> {
  const { status, body } = await read<{ last_used_at: string }>(client, `/profile/api/tokens/${id}/`)
  const { last_used_at: _, ...token } = body
  return { status, token }
}

/** Until when the key is good by which teams of the world were signed. */
async function keyOf({ system }: World): Promise<unknown> {
  const { body } = await read<SigningKey[]>(system, '/admin/api/signing-keys/')
  return body.find(({ kid }) => kid === KID)?.retired_at
}

/** Whatever is answered, so that what is gone is seen as a difference. */
async function read<T>(client: SystemClient, path: string): Promise<{ status: number; body: T }> {
  const { status, body } = await client.call('GET', path)
  return { status, body }
}
