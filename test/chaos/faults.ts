import { setTimeout as wait } from 'node:timers/promises'
import type { Job, ServiceName } from '@mnemosyne/contracts'
import { cloudEvent, openRabbitBus } from '@mnemosyne/platform'
import type { TestServer } from '@mnemosyne/platform/testing'
import type { ServiceProcess } from '../../scripts/distributed/service-process.ts'
import type { DistributedSystem } from '../system/distributed-system.ts'
import { surroundings } from '../system/stores.ts'
import type { TcpProxy } from './tcp-proxy.ts'
import type { Traffic } from './traffic.ts'

export const STORES = ['postgres', 'rabbitmq', 'neo4j', 's3'] as const
export type StoreName = (typeof STORES)[number]

/** What faults are done to. */
export interface World {
  system: DistributedSystem
  traffic: Traffic
  servers: Record<StoreName, TestServer>
  proxies: Record<StoreName, TcpProxy>
  random: () => number
}

export interface Fault {
  name: string
  /** Does it, and undoes it: afterwards every process and server is there again. */
  inject: (world: World) => Promise<void>
}

const STAGES = ['fetching', 'parsing', 'embedding', 'storing'] as const

/** SIGKILL of a service while a job is in a stage. */
export function killIn(service: ServiceName, stage: (typeof STAGES)[number]): Fault {
  return {
    name: `${service} killed while a job is ${stage}`,
    async inject({ system, traffic, random }) {
      const replicas = system.cluster.processes[service]
      const victim = replicas[Math.floor(random() * replicas.length)]!
      const job = await traffic.write()
      await reaches(system, job, stage)
      await victim.kill()
      await again(victim)
    },
  }
}

/** The job is in the stage or past it: a fast stage may be over before anybody sees it. */
async function reaches(
  system: DistributedSystem,
  { job_id }: Job,
  stage: (typeof STAGES)[number],
): Promise<void> {
  const from = STAGES.indexOf(stage)
  const deadline = performance.now() + 15_000
  while (performance.now() < deadline) {
    const { body } = await system
      .call('GET', `/library/api/jobs/${job_id}/`)
      .catch(() => ({ body: undefined }))
    const job = body as Job | undefined
    if (job?.status === 'completed' || job?.status === 'failed') return
    if (job && (STAGES as readonly string[]).indexOf(job.stage) >= from) return
    await wait(5)
  }
}

async function again(process: ServiceProcess): Promise<void> {
  process.start()
  await process.ready()
}

export function killedAtStart(service: ServiceName): Fault {
  return {
    name: `${service} killed while it starts`,
    async inject({ system, random }) {
      const victim = system.cluster.processes[service][0]!
      await victim.stop()
      victim.start()
      await wait(random() * 1_500)
      await victim.kill()
      await again(victim)
    },
  }
}

export function frozen(service: ServiceName): Fault {
  return {
    name: `${service} frozen for a while`,
    async inject({ system, random, traffic }) {
      const victim = system.cluster.processes[service].at(-1)!
      await traffic.write()
      victim.pause()
      await wait(1_000 + random() * 3_000)
      victim.resume()
      await victim.ready()
    },
  }
}

export function restarted(store: StoreName, how: 'stop' | 'kill'): Fault {
  return {
    name: `${store} ${how === 'stop' ? 'stopped' : 'killed'} and started again`,
    async inject({ servers, traffic, random, system }) {
      await servers[store][how]()
      const writing = traffic.write()
      await wait(random() * 2_000)
      await servers[store].start()
      await writing
      await allReady(system)
    },
  }
}

export function network(store: StoreName, what: 'refuse' | 'silence' | 'slow' | 'cut'): Fault {
  const words = { refuse: 'out of reach', silence: 'silent', slow: 'slow', cut: 'cut off once' }[what]
  return {
    name: `${store} ${words}`,
    async inject({ proxies, traffic, random, system }) {
      const proxy = proxies[store]
      const writing = traffic.write()
      await wait(random() * 500)
      if (what === 'slow') proxy.slow(200 + random() * 300)
      else proxy[what]()
      await wait(what === 'cut' ? 0 : 1_000 + random() * 3_000)
      proxy.heal()
      await writing
      await allReady(system)
    },
  }
}

async function allReady({ cluster }: DistributedSystem): Promise<void> {
  await Promise.all(cluster.all.map((process) => process.ready(90_000)))
}

type Send = (world: World, job: Job, bus: Awaited<ReturnType<typeof openRabbitBus>>) => Promise<void>

/** Messages that the product's own publishers would not send so, put on the broker beside theirs. */
function message(name: string, send: Send): Fault {
  return {
    name,
    async inject(world) {
      const job = await world.traffic.write()
      await using bus = await openRabbitBus({ url: world.system.servers.amqpUrl, ...surroundings() })
      await send(world, job, bus)
    },
  }
}

const command = (jobId: string) => ({
  kind: 'command' as const,
  destination: 'ingest.embedding',
  id: crypto.randomUUID(),
  body: { job_id: jobId },
  headers: {},
})

const event = (type: string, data: unknown, id: string = crypto.randomUUID()) => ({
  kind: 'event' as const,
  destination: type,
  id,
  body: cloudEvent({ type, source: '/chaos', id, time: new Date(), data }),
  headers: {},
})

export const MESSAGES: Fault[] = [
  message('a command delivered five times at once', async (_, job, bus) => {
    await Promise.all(Array.from({ length: 5 }, () => bus.publish(command(job.job_id))))
  }),
  message('a command for a job that has ended, and for one that never was', async ({ system }, job, bus) => {
    await system.ended(job.job_id)
    await bus.publish(command(job.job_id))
    await bus.publish(command(crypto.randomUUID()))
  }),
  message('an event delivered again with its id, and without', async ({ system }, job, bus) => {
    const ended = await system.ended(job.job_id)
    const sent = event('ingest.job.completed.v1', ended)
    await bus.publish(sent)
    await bus.publish(sent)
    await bus.publish(event('ingest.job.completed.v1', ended))
  }),
  message('events out of order: accepted after completed', async ({ system }, job, bus) => {
    await system.ended(job.job_id)
    await bus.publish(event('ingest.job.accepted.v1', job))
  }),
  message('events of a version that nobody knows', async (_, job, bus) => {
    await bus.publish(event('ingest.job.completed.v9', { of: job.job_id, more: ['new'] }))
    await bus.publish(event('library.deleted.v9', { library_uid: job.library_uid }))
  }),
  message('messages that cannot be understood', async ({ system }, _, bus) => {
    const before = await bus.deadLetters().count()
    await bus.publish({ ...command('no uid'), body: { job: 7 } })
    await bus.publish(event('library.deleted.v1', { library: 'none' }))
    await bus.publish(event('ingest.job.failed.v1', 'text'))
    const deadline = performance.now() + 20_000
    while ((await bus.deadLetters().count()) < before + 4) {
      if (performance.now() > deadline)
        throw new Error(`${await bus.deadLetters().count()} dead letters, ${system.url}`)
      await wait(100)
    }
    for (const { id } of await bus.deadLetters().list()) await bus.deadLetters().drop(id)
  }),
]

/** Every fault that there is, for a draw. */
export const ALL_FAULTS: Fault[] = [
  ...(['gateway', 'auth', 'library', 'ingest', 'search', 'mcp'] as const).flatMap((service) => [
    ...STAGES.map((stage) => killIn(service, stage)),
    killedAtStart(service),
    frozen(service),
  ]),
  ...STORES.flatMap((store) => [
    restarted(store, 'stop'),
    restarted(store, 'kill'),
    ...(['refuse', 'silence', 'slow', 'cut'] as const).map((what) => network(store, what)),
  ]),
  ...MESSAGES,
]
