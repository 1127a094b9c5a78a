export { blobsContract } from './blobs-contract.ts'
export { type BusOpening, busContract } from './bus-contract.ts'
export { createPostgresDatabase, startPostgres, type TestServer } from './postgres-server.ts'
export {
  createRabbitVhost,
  type RabbitServer,
  request as rabbitRequest,
  startRabbitMq,
} from './rabbitmq-server.ts'
export {
  describePostgres,
  describeRabbitMq,
  describeServers,
  freshAmqpUrl,
  freshPostgresUrl,
  type SharedServers,
  sharedRabbitMq,
  shareServers,
} from './servers.ts'
export { describeSmallDisk, mountSmallDisk, type SmallDisk } from './small-disk.ts'
export { sqlContract } from './sql-contract.ts'
