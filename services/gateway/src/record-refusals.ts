import { type Principal, REQUEST_ID_HEADER, type RefusalReason, type Surface } from '@mnemosyne/contracts'
import {
  type Actor,
  type Audited,
  type AuditRecorder,
  actorOf,
  httpMethod,
  withoutSecret,
} from '@mnemosyne/platform'
import { anonymous } from './authenticate.ts'
import type { ClientAddress } from './client-address.ts'
import { plainPath, routeOf } from './routes.ts'

/** Refusals that the audit log has. Others are faults of the request or of ours. */
const REFUSALS = new Set([401, 403, 404, 409, 429])

const PATH_MAX = 500

/** What the audit log is told by the door: who was not let in, and what was refused to those who were. */
export interface RecordRefusals {
  credential(request: Request, surface: Surface, reason: RefusalReason): void
  answer(request: Request, caller: Principal, status: number): void
}

export function createRecordRefusals(options: {
  audit: AuditRecorder
  addressOf: ClientAddress
}): RecordRefusals {
  const { audit, addressOf } = options
  return {
    credential(request, surface, reason) {
      const what = { action: 'credential.refused', target: surface, outcome: 'refused' } as const
      // Not the path: whoever has no credential may ask for anything.
      const detail = { reason, address: addressOf(request.headers) }
      audit.recordAlike(
        acting(request, anonymous(surface)),
        { ...what, detail },
        { ...what, detail: { reason } },
      )
    },
    answer(request, caller, status) {
      // The MCP service tells of its own.
      if (!REFUSALS.has(status) || caller.surface === 'mcp') return
      const what = { action: 'request.refused', outcome: 'refused' } as const
      const { path, prefix } = pathsOf(request)
      const method = httpMethod(request)
      const detail: Audited['detail'] = { status }
      if (caller.user === null) detail.address = addressOf(request.headers)
      audit.recordAlike(
        acting(request, caller),
        { ...what, target: `${method} ${path}`, detail },
        { ...what, target: `${method} ${prefix}`, detail: { status } },
      )
    },
  }
}

function acting(request: Request, principal: Principal): Actor {
  return actorOf({ principal, requestId: request.headers.get(REQUEST_ID_HEADER) ?? '' })
}

/** A path as the audit log may have it, and the part of it that is ours. */
function pathsOf(request: Request): { path: string; prefix: string } {
  const path = plainPath(new URL(request.url))
  const route = path === undefined ? undefined : routeOf(path)
  // Where nothing is served, the path is whatever somebody has made up.
  if (path === undefined || !route) return { path: '/*', prefix: '/*' }
  const prefix = `${route.prefix}/*`
  return { path: path.length > PATH_MAX ? prefix : path.split('/').map(shownSegment).join('/'), prefix }
}

function shownSegment(segment: string): string {
  const text = decodeURIComponent(segment)
  return withoutSecret(text) === text ? segment : '*'
}
