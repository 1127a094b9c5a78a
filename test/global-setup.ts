import { shareServers } from '@mnemosyne/platform/testing'
import type { TestProject } from 'vitest/node'

/** Real servers for the tests that ask for them; stopped at the end of the run. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = await shareServers()
  project.provide('testServers', servers.socket)
  return () => servers.close()
}
