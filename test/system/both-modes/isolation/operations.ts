import * as contracts from '@mnemosyne/contracts'

type Contracts = typeof contracts

/** `admin.users.list`: a contract's name, and the way to the operation in it. */
type NamesIn<C, Prefix extends string> = {
  [K in keyof C & string]: C[K] extends { '~orpc': unknown }
    ? `${Prefix}${K}`
    : NamesIn<C[K], `${Prefix}${K}.`>
}[keyof C & string]

type NamesOf<Export extends keyof Contracts> = Export extends `${infer Name}Contract`
  ? Name extends `${string}Internal`
    ? never
    : NamesIn<Contracts[Export], `${Name}.`>
  : never

/** Every operation that is reached from outside, by the contracts that there are; and the upload beside them. */
export type OperationName = NamesOf<keyof Contracts> | 'upload'

export interface Operation {
  name: string
  method: string
  /** With `{params}`. */
  path: string
  /** Of an answer as the contract has it. */
  success: number
  /** Between services only. */
  internal: boolean
}

interface Route {
  method: string
  path: string
  successStatus?: number
}

function walk(node: object, name: string, internal: boolean): Operation[] {
  if ('~orpc' in node) {
    const { method, path, successStatus = 200 } = (node['~orpc'] as { route: Route }).route
    return [{ name, method, path, success: successStatus, internal }]
  }
  return Object.entries(node).flatMap(([key, inner]) => walk(inner, `${name}.${key}`, internal))
}

const walked = Object.entries(contracts).flatMap(([exported, contract]) => {
  const name = /^(.*)Contract$/.exec(exported)?.[1]
  return name === undefined ? [] : walk(contract as object, name, name.endsWith('Internal'))
})

export const OPERATIONS: readonly Operation[] = [
  ...walked.filter(({ internal }) => !internal),
  { name: 'upload', method: 'POST', path: contracts.UPLOAD_PATH, success: 202, internal: false },
]

export const INTERNAL_OPERATIONS: readonly Operation[] = walked.filter(({ internal }) => internal)

export function operationNamed(name: string): Operation {
  const operation = OPERATIONS.find((one) => one.name === name)
  if (!operation) throw new Error(`there is no operation ${name}`)
  return operation
}
