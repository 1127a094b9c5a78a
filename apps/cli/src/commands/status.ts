import { JobStatus } from '@mnemosyne/contracts'
import type { Command } from 'commander'
import { type Connection, connect } from '../connect.ts'
import { EXIT, Output } from '../output.ts'
import { type GlobalOptions, withSystem } from './shared-options.ts'

interface Ready {
  status: string
  checks: Record<string, { status: string; detail?: string }>
}

export function statusCommand(program: Command): void {
  withSystem(program.command('status').description('what runs, its health, and how far the jobs are')).action(
    async (options: GlobalOptions) => {
      const output = new Output(options)
      const system = await connect(options, process.env)
      try {
        const ready = (await (await system.fetch(new Request(`${system.url}/ready/`))).json()) as Ready
        const jobs = await jobCounts(system)
        const { headers } = await system.library.libraries.list({ limit: 1 })
        const libraries = Number(headers['x-total-count'])
        output.result({ running: !system.ownSystem, ...ready, libraries, jobs }, [
          `${ready.status}${system.ownSystem ? ' (no process is running; the stores were opened to look)' : ''}`,
          ...Object.entries(ready.checks).map(
            ([name, check]) =>
              `  ${name.padEnd(20)} ${check.status}${check.detail ? `: ${check.detail}` : ''}`,
          ),
          `Libraries: ${libraries}`,
          `Jobs: ${Object.entries(jobs)
            .map(([status, count]) => `${count} ${status}`)
            .join(', ')}`,
        ])
        if (ready.status !== 'ready' && ready.status !== 'degraded') process.exitCode = EXIT.unavailable
      } finally {
        await system.close()
      }
    },
  )
}

async function jobCounts(system: Connection): Promise<Record<JobStatus, number>> {
  const counts = JobStatus.options.map(async (status) => {
    const { headers } = await system.ingest.jobs.list({ status, limit: 1 })
    return [status, Number(headers['x-total-count'])] as const
  })
  return Object.fromEntries(await Promise.all(counts)) as Record<JobStatus, number>
}
