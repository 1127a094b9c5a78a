// Two gateways, two search and two ingest processes on real servers, under traffic, and faults drawn by a seed; then
// the ledger of all that was promised:
//   npm run chaos -- [--faults 200] [--seed 1] [--every N]
// Ends with 1 when anything is lost, doubled or without a true reason.
import { parseArgs } from 'node:util'
import { seeded } from '../bench/random.ts'
import { ALL_FAULTS } from '../test/chaos/faults.ts'
import { balance } from '../test/chaos/ledger.ts'
import { openWorld } from '../test/chaos/world.ts'

const { values } = parseArgs({
  options: { faults: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
})
const say = (line: string) => process.stdout.write(`${line}\n`)
const random = seeded(Number(values.seed))
await using closing = new AsyncDisposableStack()
// Ctrl-C ends this process in order, and with it everything that it has started.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
say(`Seed ${values.seed}. Starting servers and services …`)
const world = await openWorld(random, closing)
world.traffic.start()
const started = performance.now()
const counts = new Map<string, number>()
for (let n = 1; n <= Number(values.faults); n++) {
  const fault = ALL_FAULTS[Math.floor(random() * ALL_FAULTS.length)]!
  const at = performance.now()
  await fault.inject(world)
  counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1)
  say(`${String(n).padStart(4)}  ${fault.name} (${((performance.now() - at) / 1000).toFixed(1)} s)`)
}
await world.traffic.stop()
const { traffic } = world
const ledger = await balance(world.system, traffic, world.library_uid)
say(
  `\n${values.faults} faults of ${counts.size} kinds in ${Math.round((performance.now() - started) / 1000)} s`,
)
say(`accepted jobs     ${ledger.accepted}`)
say(`  completed       ${ledger.completed}`)
say(`  superseded      ${ledger.superseded}`)
for (const [reason, count] of Object.entries(ledger.failed)) say(`  failed          ${count}  ${reason}`)
say(`documents         ${traffic.promises.size}, all looked at`)
say(
  `searches answered ${traffic.answered}; refused or broken off while something was away: ${traffic.refusals.reads.length}`,
)
say(`uploads sent again ${traffic.refusals.writes.length} times`)
for (const fault of ledger.faults) say(`WRONG: ${fault}`)
say(
  ledger.faults.length === 0
    ? 'The ledger balances.'
    : `The ledger does not balance: ${ledger.faults.length}.`,
)
process.exitCode = ledger.faults.length === 0 ? 0 : 1
