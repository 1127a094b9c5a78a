import { createSocket } from 'node:dgram'
import { once } from 'node:events'

export interface DnsServer extends AsyncDisposable {
  /** address:port */
  readonly address: string
  /** The IPv4 address that every name has from now on; undefined: there is no such name. */
  answer: string | undefined
}

const NO_SUCH_NAME = 3

/** A DNS server (RFC 1035) that gives one IPv4 address, for an hour, to whatever name it is asked for. */
export async function startDnsServer(): Promise<DnsServer> {
  const socket = createSocket('udp4')
  const server: DnsServer = {
    address: '',
    answer: undefined,
    [Symbol.asyncDispose]: async () => void socket.close(),
  }
  socket.on('message', (query, from) => socket.send(replyTo(query, server.answer), from.port, from.address))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return Object.assign(server, { address: `127.0.0.1:${socket.address().port}` })
}

function replyTo(query: Buffer, address: string | undefined): Buffer {
  const question = query.subarray(12, endOfQuestion(query))
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  head.writeUInt16BE(address ? 0x8180 : 0x8180 | NO_SUCH_NAME, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(address ? 1 : 0, 6)
  return Buffer.concat([head, question, address ? addressRecord(address) : Buffer.alloc(0)])
}

/** Labels, each after its length, a zero, then type and class. */
function endOfQuestion(query: Buffer): number {
  let at = 12
  while (query[at]) at += (query[at] as number) + 1
  return at + 5
}

function addressRecord(address: string): Buffer {
  const record = Buffer.alloc(16)
  record.writeUInt16BE(0xc00c, 0)
  record.writeUInt16BE(1, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt32BE(3_600, 6)
  record.writeUInt16BE(4, 10)
  record.set(address.split('.').map(Number), 12)
  return record
}
