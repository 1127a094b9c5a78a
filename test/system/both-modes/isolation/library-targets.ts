import { randomUUID } from 'node:crypto'
import type { GoldenQuery, Job, MembershipRole } from '@mnemosyne/contracts'
import { clientOf, expectStatus } from './clients.ts'
import { emptyLibrary, type Holding, makeLibrary } from './holdings.ts'
import { bearer, mint, type Person } from './people.ts'
import { type Asker, type Contents, MALFORMED_ID, MISSING_ID, waysOf } from './way.ts'
import { type LibraryRelation, SHARED, share } from './world.ts'

/** What stands in the world in this relation to who asks. */
export const standingHolding = (
  { world: { holdings }, person: { name }, relation }: Asker,
  instead = relation,
): Holding => holdings[name as keyof typeof holdings][instead as LibraryRelation]

/** Whose a library is that stands in this relation to who asks. */
function keeperOf({ world: { people, kim }, person, relation }: Asker): Person {
  if (relation === 'own') return person
  return relation === 'global' ? people.admin : kim
}

const nameOfFresh = () => `fresh-${randomUUID()}`

async function inRelation<T extends Pick<Holding, 'library_uid'>>(
  asker: Asker,
  make: (keeper: Person, name: string, more: { global: boolean }) => Promise<T>,
): Promise<T> {
  const keeper = keeperOf(asker)
  const made = await make(keeper, nameOfFresh(), { global: asker.relation === 'global' })
  const role = SHARED[asker.relation as keyof typeof SHARED]
  return role ? share(asker.world.system, keeper, made, asker.person, role) : made
}

/** A library without content. */
const freshLibrary = (asker: Asker) =>
  inRelation(asker, async (keeper, name, more) => {
    const { uid } = await emptyLibrary(clientOf(asker.world.system, keeper), name, more)
    return { ...standingHolding(asker, 'malformed'), library_uid: uid }
  })

/** The same, in which somebody else has this role. */
export const freshWithMember = (role: MembershipRole) => async (asker: Asker) => {
  const { system, zoe } = asker.world
  return share(system, keeperOf(asker), freshLibrary(asker), zoe, role)
}

/** A library with a document. */
export const freshFilledLibrary = (asker: Asker) =>
  inRelation(asker, (keeper, name, more) => makeLibrary(asker.world.system, keeper, name, more))

/** The id of a workspace of the caller's that is there, or is there no longer, or never was. */
export async function freshWorkspace(asker: Asker): Promise<Holding> {
  const nowhere = { ...standingHolding(asker, 'missing'), workspace_id: nameOfFresh() }
  if (asker.relation === 'missing') return nowhere
  const client = clientOf(asker.world.system, asker.person)
  const { workspace_id, library_uid } = await client.createWorkspace(nowhere.workspace_id)
  if (asker.relation === 'deleted') {
    expectStatus(await client.call('DELETE', `/library/api/workspaces/${workspace_id}/`), 204)
  }
  return { ...nowhere, workspace_id, library_uid }
}

/** A job of a document that cannot be read. */
export async function freshFailedJob(asker: Asker): Promise<Holding> {
  const { library_uid } = await freshLibrary(asker)
  const keeper = clientOf(asker.world.system, keeperOf(asker))
  const file = { name: 'broken.pdf', content: '%PDF-1.4 nothing', type: 'application/pdf' }
  const { body } = await keeper.upload({ library_uid }, file)
  const job = await keeper.ended((body as Job).job_id)
  if (job.status !== 'failed') throw new Error(`a document that cannot be read is ${job.status}`)
  return { ...standingHolding(asker), job_id: job.job_id }
}

export const ofLibrary = waysOf<Holding>('library', {
  standing: (asker) => (asker.relation === 'unnamed' ? ({} as Holding) : standingHolding(asker)),
  fresh: freshLibrary,
})

interface WithGoldenQuery extends Holding {
  golden_query_id: string
}

/** Golden queries of libraries; of those that only stand there, one that is not there. */
export const ofGoldenQuery = waysOf<WithGoldenQuery>('library', {
  standing: (asker) => ({ ...standingHolding(asker), golden_query_id: MISSING_ID }),
  async fresh(asker) {
    const holding = await freshFilledLibrary(asker)
    const path = `/library/api/libraries/${holding.library_uid}/golden-queries/`
    const golden = { query: 'when is it lit?', chunk_uid: holding.chunk_uid }
    const made = await clientOf(asker.world.system, keeperOf(asker)).call('POST', path, golden)
    return { ...holding, golden_query_id: (expectStatus(made, 201) as GoldenQuery).id }
  },
})

interface LibraryAndToken {
  library_uid: string
  token_id: string
}

/** Libraries, to be put into a token of the caller's own. */
export const ofLibraryForOwnToken = waysOf<LibraryAndToken>('library', {
  standing: (asker) => ({
    library_uid: standingHolding(asker).library_uid,
    token_id: asker.world.tokens[asker.person.name]!.own,
  }),
  async fresh(asker) {
    const { library_uid } = await freshLibrary(asker)
    const { id } = await mint(asker.world.system, bearer(asker.person.token), {})
    return { library_uid, token_id: id }
  },
})

/** Tokens, for a library of the caller's own to be put into. */
export const ofTokenForOwnLibrary = waysOf<LibraryAndToken>('token for a library', {
  standing: (asker) => {
    const { tokens, zoe } = asker.world
    const token_id = {
      "stranger's": tokens[zoe.name]!.own,
      revoked: tokens[asker.person.name]!.revoked,
      missing: MISSING_ID,
      malformed: MALFORMED_ID,
    }[asker.relation]!
    return { library_uid: standingHolding(asker, 'own').library_uid, token_id }
  },
  async fresh(asker) {
    const { system, zoe } = asker.world
    const own = await freshWithMember('reader')({ ...asker, relation: 'own' })
    return { library_uid: own.library_uid, token_id: (await mint(system, bearer(zoe.token), {})).id }
  },
})

// What lists hold.

type Id = keyof Omit<Holding, 'document' | 'text'>

const READABLE: readonly LibraryRelation[] = ['own', 'co-owner', 'manager', 'reader', 'global']
const INGESTABLE = READABLE.filter((relation) => relation !== 'reader')

/** What of each library that is seen stands in a list; that of one alone, when it is named. */
const listed = (visible: readonly LibraryRelation[], id: Id) => (asker: Asker) =>
  visible
    .filter((one) => asker.relation === 'unnamed' || one === asker.relation)
    .map((one) => standingHolding(asker, one)[id])

export const readable = (id: Id, idOf: Contents['idOf'], within?: Contents['within']): Contents => ({
  of: listed(READABLE, id),
  ...{ idOf, within },
})

export const ingestable = (id: Id, idOf: Contents['idOf']): Contents => ({ of: listed(INGESTABLE, id), idOf })

/** User names, each with its role. */
export const members = (idOf: Contents['idOf']): Contents => ({
  of(asker) {
    const owner = `${keeperOf(asker).name} owner`
    const role = SHARED[asker.relation as keyof typeof SHARED]
    return role ? [owner, `${asker.person.name} ${role}`] : [owner]
  },
  idOf,
})
