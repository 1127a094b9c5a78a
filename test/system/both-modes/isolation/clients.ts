import { SystemClient } from '../../client.ts'
import type { SystemInMode } from '../../mode.ts'
import { UNTRACED } from './asking.ts'

/** Is not traced. */
class QuietClient extends SystemClient {
  override call(...[method, path, body, options]: Parameters<SystemClient['call']>) {
    return super.call(method, path, body, { ...options, headers: { ...UNTRACED, ...options?.headers } })
  }
}

/** Who made the system, or somebody else. */
export const clientOf = (system: SystemInMode, { token }: { token: string } = system) =>
  new QuietClient(system.url, token)

type Answer = Awaited<ReturnType<SystemClient['call']>>

/** The body of an answer that has to have this status, for the making of what is asked about later. */
export function expectStatus({ status, body, text }: Answer, ...wanted: number[]): unknown {
  if (!wanted.includes(status)) throw new Error(`answered ${status} instead of ${wanted}: ${text}`)
  return body
}
