import type { SystemClient } from '../test/system/client.ts'
import { type Bench, say } from './bench.ts'
import { milliseconds, percentile, type Report } from './report.ts'
import { startSystem } from './system.ts'

const WARM_UP = 100

/**
 * Requests that go one hop further each and ask for next to nothing there. Every one is answered by refusing.
 */
const REQUESTS: {
  name: string
  status: number
  send: (system: SystemClient) => Promise<{ status: number }>
}[] = [
  {
    name: 'gateway, which refuses',
    status: 401,
    send: (system) => system.call('GET', '/nothing/here/', undefined, { token: null }),
  },
  {
    name: '… and resolution: gateway → auth → library and back',
    status: 404,
    send: (system) => system.call('GET', '/nothing/here/'),
  },
  {
    name: '… and gateway → search and back',
    status: 400,
    send: (system) => system.call('POST', '/library/api/search/', {}),
  },
]

/** What it costs that services are processes: the same requests, in turns, with the same kind of database. */
export async function measureHops(bench: Bench): Promise<Report> {
  await using one = await startSystem(bench.newFolder(), undefined, {
    DATABASE_URL: await bench.servers.database(),
  })
  await using many = await bench.servers.system(bench.neo4j)
  say('asking for next to nothing')
  const systems = [one, many]
  const times = systems.map(() => REQUESTS.map(() => [] as number[]))
  for (let round = 0; round < WARM_UP + bench.sizes.hops; round++) {
    for (const [which, system] of systems.entries()) {
      for (const [n, { name, status, send }] of REQUESTS.entries()) {
        const started = performance.now()
        const answer = await send(system)
        const took = performance.now() - started
        if (answer.status !== status) throw new Error(`${name}: ${answer.status} in place of ${status}`)
        if (round >= WARM_UP) times[which]![n]!.push(took)
      }
    }
  }
  const [together, apart] = times as [number[][], number[][]]
  const resolution = stepOf(together, apart, 1)
  const search = stepOf(together, apart, 2)
  const pair = (values: readonly number[]) =>
    `${milliseconds(percentile(values, 0.5))} / ${milliseconds(percentile(values, 0.95))}`
  const step = ({ one, many }: Step) => [
    pair(one),
    pair(many),
    `**${milliseconds(percentile(many, 0.5) - percentile(one, 0.5))} / ${milliseconds(percentile(many, 0.95) - percentile(one, 0.95))}**`,
  ]
  return {
    title: 'What a hop costs',
    about: `Three requests that go one hop further each and are refused at its end, one after another, ${bench.sizes.hops} times, to one process and to the services apart in turns, both on PostgreSQL. Milliseconds, p50 / p95. A hop is the difference between a request and the one before it, pair by pair.`,
    columns: ['', 'in one process', 'over sockets', 'difference'],
    rows: [
      ...REQUESTS.map(({ name }, n) => [name, pair(together[n]!), pair(apart[n]!), '']),
      ['hops of resolution (gateway → auth → library)', ...step(resolution)],
      ['hop to search (aim: under 3 at p50)', ...step(search)],
    ],
    notes: [
      'The column "over sockets" has the whole hop: assertion, encoding, socket, verifying, the answer. What the callee does is in both columns; the difference is what the sockets and the processes cost. It is of the percentiles, not of pairs.',
    ],
    figures: {
      resolution_apart_p50_ms: percentile(resolution.many, 0.5),
      resolution_apart_p95_ms: percentile(resolution.many, 0.95),
      resolution_together_p50_ms: percentile(resolution.one, 0.5),
      search_apart_p50_ms: percentile(search.many, 0.5),
      search_apart_p95_ms: percentile(search.many, 0.95),
      search_together_p50_ms: percentile(search.one, 0.5),
    },
  }
}

interface Step {
  one: number[]
  many: number[]
}

/** What request `n` takes more than the one before it. */
function stepOf(together: number[][], apart: number[][], n: number): Step {
  const more = (times: number[][]) => times[n]!.map((ms, round) => ms - times[n - 1]![round]!)
  return { one: more(together), many: more(apart) }
}
