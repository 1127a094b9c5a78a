import type { Client, libraryContract, Principal, searchContract } from '@mnemosyne/contracts'
import type { z } from 'zod'
import type { Health } from '../health.ts'

/** What tools are made of. Both clients are called under the caller's own libraries. */
export interface Services {
  search: Client<typeof searchContract>
  library: Client<typeof libraryContract>
  health: () => Promise<Health>
}

/** One call: who makes it, and how to make further calls on its behalf. */
export interface ToolCall {
  principal: Principal
  services: Services
  /** Options of a client call: the caller's assertion for that service, and the call's end. */
  as: (audience: 'search' | 'library') => Promise<ClientOptions>
}

export interface ClientOptions {
  context: { delegations: Record<string, string> }
  signal: AbortSignal
}

export interface ToolResult<O> {
  structured: O
  /** The same for a reader: what a model should see and cite. */
  text: string
  /** How many of what was returned, for the audit log. */
  counts: Record<string, number>
}

/** A read-only tool. `input` fields carry descriptions; `output` allows for fields to be added. */
export interface Tool<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject> {
  name: string
  title: string
  /** For a language model: when to use it, and what to do next. */
  description: string
  input: I
  output: O
  run(input: z.output<I>, call: ToolCall): Promise<ToolResult<z.input<O>>>
}

/** Ties the types of a tool's input and output to its `run`. */
export function defineTool<I extends z.ZodObject, O extends z.ZodObject>(tool: Tool<I, O>): Tool {
  return tool as unknown as Tool
}
