export { badAssertions } from './bad-assertions.ts'
export { blobsContract, type SourceUnderTest, sourceContract } from './blobs-contract.ts'
export { type BusOpening, busContract } from './bus-contract.ts'
export {
  composeProgram,
  describeProgram,
  hadolintProgram,
  nginxExporterProgram,
} from './deploy-tools.ts'
export { freePorts } from './guarded-process.ts'
export { execText } from './install.ts'
export type { Neo4jVersion } from './neo4j-install.ts'
export { startNeo4j } from './neo4j-server.ts'
export { type NginxOptions, type NginxServer, nginxProgram, startNginx } from './nginx-server.ts'
export { createPostgresDatabase, startPostgres, type TestServer } from './postgres-server.ts'
export {
  createRabbitVhost,
  type RabbitServer,
  request as rabbitRequest,
  startRabbitMq,
} from './rabbitmq-server.ts'
export { s3OptionsOf } from './s3-blobs.ts'
export {
  createS3Account,
  createS3Bucket,
  type S3Account,
  type S3Bucket,
  startS3,
} from './s3-server.ts'
export {
  describeNeo4j,
  describePostgres,
  describeRabbitMq,
  describeS3,
  describeServers,
  freshAmqpUrl,
  freshPostgresUrl,
  freshS3Account,
  freshS3Bucket,
  leaseNeo4j,
  type Neo4jLease,
  type SharedServers,
  sharedRabbitMq,
  shareServers,
} from './servers.ts'
export { describeSmallDisk, mountSmallDisk, type SmallDisk } from './small-disk.ts'
export { sqlContract } from './sql-contract.ts'
