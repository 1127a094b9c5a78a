import { type Expected, expectedOf, relationsOf } from './access.ts'
import { type Answer, ask, isSafe, sendTo, signatureOf } from './asking.ts'
import { type Caller, faultOfRefusal, type Refused } from './callers.ts'
import { askAll, type Fault, type Outcome } from './cells.ts'
import { type Operation, type OperationName, operationNamed } from './operations.ts'
import type { Person } from './people.ts'
import { ROWS } from './rows.ts'
import type { Asker, Way } from './way.ts'
import type { World } from './world.ts'

/** Something that can be asked for, whoever asks. */
export interface Question {
  operation: Operation
  way: Way
  relation: string
  asked: string
}

/** Every operation, in every way, with each of its relations. */
export function questions(): Question[] {
  return Object.entries(ROWS).flatMap(([name, ways]) => {
    const operation = operationNamed(name)
    return ways.flatMap((way) =>
      relationsOf(way.access).map((relation) => ({
        ...{ operation, way, relation },
        asked: [operation.method, operation.path, way.how && `(${way.how})`].filter(Boolean).join(' '),
      })),
    )
  })
}

/** Open to who has no credential. */
const OPEN: OperationName = 'accounts.login'

/** Whoever comes with a credential that is not good is refused, whatever they ask for; as one of the cast would. */
export function askRefused(world: World, callers: Refused[], asks: Person): Promise<Outcome> {
  const send = sendTo(world.system.url)
  const cells = questions()
    .filter(({ operation }) => operation.name !== OPEN)
    .flatMap((question) =>
      callers
        .filter(({ status }) => status !== 403 || !isSafe(question.operation))
        .map((refused) => ({ ...question, refused, caller: refused.name })),
    )
  return askAll(cells, async ({ operation, way, relation, refused }) => {
    const { asked } = way.standing({ world, person: asks, relation, session: false })
    return faultOfRefusal(await ask(send, operation, asked, refused.headers), refused)
  })
}

/** What is only looked at (`safe`), or what is changed. */
export function askGranted(world: World, callers: Caller[], which: 'safe' | 'unsafe'): Promise<Outcome> {
  const isFirst = (by: Caller) => callers.find(({ person }) => person === by.person) === by
  const cells = questions()
    .filter(({ operation }) => isSafe(operation) === (which === 'safe'))
    .flatMap((question) =>
      callers
        .filter((by) => !question.way.dear || isFirst(by) || !expectationOf(question, by).expected.granted)
        .map((by) => ({ ...question, by, caller: by.name })),
    )
  return askAll(cells, (cell) => faultOf(world, cell, cell.by))
}

/** What a caller is answered; and, where that has to be alike, for which relation the same is answered. */
export function expectationOf(
  { operation, way, relation }: Question,
  { person: { level }, session }: Caller,
): { expected: Expected; reference: string } {
  const of = (relation: string) =>
    expectedOf(way.access, relation, { level, session }, way.success ?? operation.success)
  const expected = of(relation)
  // Where asking for what does not exist would make it, it is somebody else's.
  const alike = expected.alike && of('missing').status !== expected.status ? 'foreign' : 'missing'
  return { expected, reference: alike }
}

async function faultOf(world: World, question: Question, caller: Caller): Promise<Fault> {
  const { operation, way, relation } = question
  const { person, session } = caller
  const asker: Asker = { world, person, relation, session }
  const { expected, reference } = expectationOf(question, caller)
  const { asked, ids, headers } = expected.granted && way.fresh ? await way.fresh(asker) : way.standing(asker)
  // Who is made for the question comes in by the front door.
  const answer = headers
    ? await ask(sendTo(world.system.url), operation, asked, headers)
    : await ask(caller.send, operation, asked, caller.headers)
  if (answer.status !== expected.status)
    return { expected: String(expected.status), got: `${answer.status} ${answer.text}` }
  if (expected.alike) {
    const instead = way.standing({ ...asker, relation: reference })
    const wanted = signatureOf(await ask(caller.send, operation, instead.asked, caller.headers), instead.ids)
    const got = signatureOf(answer, ids)
    if (got !== wanted) return { expected: `the answer for ${reference}: ${wanted}`, got }
  }
  return answer.status < 400 ? faultOfContents(way, asker, { expected, answer }) : faultOfWords(answer)
}

/** `{"detail": …}`, or 400 `{field: […]}`. */
function faultOfWords({ text }: Answer): Fault {
  const words = Object.values(JSON.parse(text) as Record<string, unknown>)
  const worded = words.length > 0 && words.every((word) => typeof word === 'string' || Array.isArray(word))
  return worded ? undefined : { expected: 'an error in words', got: text }
}

function faultOfContents(
  way: Way,
  asker: Asker,
  { expected, answer }: { expected: Expected; answer: Answer },
): Fault {
  if (!way.contents) return undefined
  const { of, idOf, within, atLeast } = way.contents
  const wanted = expected.empty ? [] : of(asker)
  const body: unknown = JSON.parse(answer.text)
  const elements = within ? within(body as never) : (body as unknown[])
  const got = [...new Set(elements.map((element) => idOf(element as never)))]
  const missing = wanted.filter((id) => !got.includes(id))
  const extra = got.filter((id) => !wanted.includes(id))
  const total = Number(within ? got.length : answer.headers.get('x-total-count'))
  if (missing.length === 0 && (atLeast || (extra.length === 0 && total === wanted.length))) return undefined
  return { expected: `exactly these: ${wanted.sort()}`, got: `${total}: ${got.sort()}` }
}
