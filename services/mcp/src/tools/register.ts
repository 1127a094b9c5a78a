import type { Principal } from '@mnemosyne/contracts'
import {
  type AuditRecorder,
  actorOf,
  currentRequest,
  type Logger,
  type Metrics,
  markFailed,
  type Signer,
  type Span,
  SpanKind,
  span,
} from '@mnemosyne/platform'
import type { CallToolResult, McpServer, StandardSchemaWithJSON } from '@modelcontextprotocol/server'
import { z } from 'zod'
import type { Services, Tool, ToolCall } from './tool.ts'
import { type Outcome, ToolForbidden, toolError } from './tool-error.ts'

export interface ToolMetrics {
  called(seconds: number, tool: string, outcome: Outcome): void
}

export function toolMetrics(metrics: Metrics): ToolMetrics {
  const calls = metrics.counter('mnemosyne_mcp_calls_total', 'Calls of MCP tools by how they ended.', [
    'tool',
    'outcome',
  ])
  const duration = metrics.histogram(
    'mnemosyne_mcp_call_duration_seconds',
    'Time to answer calls of MCP tools.',
    ['tool'],
  )
  return {
    called(seconds, tool, outcome) {
      calls({ tool, outcome })
      duration(seconds, { tool })
    },
  }
}

/** A tool with its schemas converted once, since a server is made for every request. */
export interface PreparedTool {
  tool: Tool
  input: StandardSchemaWithJSON
  output: StandardSchemaWithJSON
}

export function prepareTool(tool: Tool): PreparedTool {
  return { tool, input: described(tool.input), output: described(tool.output) }
}

/**
 * A schema that the SDK shows but does not check with: arguments are parsed where faults are counted and worded,
 * and answers were checked by the service that gave them. The input form is shown for answers too, because the
 * output form forbids fields to be added.
 */
function described(schema: z.ZodObject): StandardSchemaWithJSON {
  const json = z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' }) as Record<string, unknown>
  return {
    '~standard': {
      version: 1,
      vendor: 'mnemosyne',
      validate: (value) => ({ value }),
      jsonSchema: { input: () => json, output: () => json },
    },
  }
}

/** The caller of one request, and what its tool calls are made with. */
export interface ToolScope {
  principal: Principal
  services: Services
  sign: Signer
  audit: AuditRecorder
  log: Logger
  metrics: ToolMetrics
}

export function registerTool(server: McpServer, prepared: PreparedTool, scope: ToolScope): void {
  const { tool, input, output } = prepared
  server.registerTool(
    tool.name,
    {
      title: tool.title,
      description: tool.description,
      inputSchema: input,
      outputSchema: output,
      annotations: {
        title: tool.title,
        readOnlyHint: true,
        destructiveHint: false,
        idempotentHint: true,
        openWorldHint: false,
      },
    },
    (args, { mcpReq }) => callTool(tool, args, scope, mcpReq.signal),
  )
}

/** https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md */
function attributesOf({ name }: Tool) {
  return {
    'mcp.method.name': 'tools/call',
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': name,
  }
}

/** One row in the audit log for each call; of those who show no credential, one for all that are alike. */
function recordCall(
  audit: AuditRecorder,
  principal: Principal,
  { name }: Tool,
  call: { outcome: Outcome; counts: Record<string, number>; duration_ms: number },
): void {
  const by = actorOf({ principal, requestId: currentRequest().request_id ?? '' })
  const { outcome, counts, duration_ms } = call
  const what = {
    action: `mcp.${name}`,
    target: name,
    // What is not there for the caller is refused as what is not theirs.
    outcome: outcome === 'forbidden' || outcome === 'not_found' ? 'refused' : 'done',
    detail: { outcome, libraries: principal.resolved_libraries.length },
  } as const
  if (principal.kind === 'anonymous') audit.recordAlike(by, what, what)
  else {
    const found = Object.fromEntries(Object.entries(counts).map(([kind, count]) => [`found_${kind}`, count]))
    audit.record(by, { ...what, detail: { ...what.detail, ...found, duration_ms } })
  }
}

/** Runs a tool in a span, counts it, leaves a line in the log, and turns a failure into safe text. */
async function callTool(
  tool: Tool,
  args: unknown,
  { principal, services, sign, audit, log, metrics }: ToolScope,
  signal: AbortSignal,
): Promise<CallToolResult> {
  const started = performance.now()
  const call: ToolCall = {
    principal,
    services,
    as: async (audience) => ({
      context: { delegations: { [audience]: await sign(principal, audience) } },
      signal,
    }),
  }
  let outcome: Outcome = 'ok'
  let counts: Record<string, number> = {}
  async function answer(active: Span): Promise<CallToolResult> {
    try {
      const { allowed_tools } = principal
      if (allowed_tools.length > 0 && !allowed_tools.includes(tool.name)) {
        throw new ToolForbidden(tool.name, allowed_tools)
      }
      const result = await tool.run(tool.input.parse(args ?? {}), call)
      counts = result.counts
      return {
        content: [{ type: 'text', text: result.text }],
        structuredContent: result.structured as Record<string, unknown>,
      }
    } catch (error) {
      const failure = toolError(error, signal)
      outcome = failure.outcome
      if (outcome === 'error') log.error({ err: error, tool: tool.name }, 'unexpected error in a tool')
      markFailed(active, 'tool_error')
      return { content: [{ type: 'text', text: failure.text }], isError: true }
    }
  }
  try {
    return await span(`tools/call ${tool.name}`, attributesOf(tool), answer, SpanKind.SERVER)
  } finally {
    const took = performance.now() - started
    metrics.called(took / 1000, tool.name, outcome)
    recordCall(audit, principal, tool, { outcome, counts, duration_ms: Math.round(took) })
    log.info(
      {
        tool: tool.name,
        outcome,
        principal: principal.kind,
        user: principal.user?.username,
        team: principal.team_id ?? undefined,
        libraries: principal.resolved_libraries.length,
        counts,
        duration_ms: Math.round(took),
      },
      'mcp tool call',
    )
  }
}
