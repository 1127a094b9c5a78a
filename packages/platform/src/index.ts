export { addressBlock, canonicalAddress } from './address.ts'
export {
  AssertionError,
  type AssertionKeySets,
  type AssertionKeys,
  createSigner,
  createVerifier,
  generateAssertionKeys,
  parseAssertionKeys,
  publicKeys,
  rotationOf,
  type Signer,
  type Verifier,
} from './assertion.ts'
export { announceAudit } from './audit/announce-audit.ts'
export {
  type Actor,
  type Audited,
  actorOf,
  auditRecord,
  COMMAND_LINE,
  serviceActor,
  withoutSecret,
} from './audit/record.ts'
export { type AuditRecorder, startAuditRecorder } from './audit/recorder.ts'
export { openFolderBlobs } from './blobs/folder.ts'
export { openFolderSource } from './blobs/folder-source.ts'
export { checkKey } from './blobs/key.ts'
export {
  BlobKeyError,
  BlobNotFoundError,
  type BlobRange,
  BlobRangeError,
  type BlobSource,
  type BlobStore,
  BlobStoreFullError,
  BlobStoreRefusedError,
  BlobStoreUnavailableError,
  BlobTooLargeError,
  type OpenBlob,
  type PutOptions,
  type StoredBlob,
} from './blobs/port.ts'
export { openS3Blobs, openS3Source, type S3Options } from './blobs/s3.ts'
export {
  type S3Location,
  s3Location,
  s3SourceLocation,
  s3SourceVariables,
  s3Variables,
} from './blobs/s3-config.ts'
export {
  type CloudEvent,
  cloudEvent,
  cloudEventSchema,
  eventMessage,
  readEvent,
  type Validate,
} from './bus/event.ts'
export { type InProcessBusOptions, openInProcessBus, type Schedule } from './bus/in-process.ts'
export {
  BacklogFull,
  type Bus,
  BusClosed,
  type BusMessage,
  BusUnavailable,
  type CommandConsumer,
  type Consumer,
  type DeadLetter,
  DeadLetterNotFound,
  type DeadLetters,
  type DeliveryContext,
  defaultRetry,
  type Handle,
  InvalidBrokerUrl,
  InvalidMessage,
  RetryLater,
  type RetryPolicy,
  type Subscription,
  UnknownQueue,
  Unprocessable,
} from './bus/port.ts'
export { openRabbitBus, type RabbitBusOptions } from './bus/rabbit.ts'
export { parseBrokerUrl } from './bus/rabbit-url.ts'
export { untilHandled } from './bus/until-handled.ts'
export { type Clock, systemClock } from './clock.ts'
export {
  about,
  BrokerUrl,
  ConfigError,
  Count,
  DatabaseUrl,
  Flag,
  GraphUrl,
  goneVariables,
  LogLevel,
  Port,
  parseConfig,
  printConfig,
  ServiceUrls,
  secret,
  withFormerNames,
} from './config.ts'
export {
  type DataFolder,
  DataFolderError,
  DataFolderInUseError,
  type DataFolderOptions,
  NewerDataFolderError,
  openDataFolder,
} from './data-folder/data-folder.ts'
export { DomainError, FieldError } from './errors.ts'
export { httpMethod, inProcessUpstream, observeCalls } from './http-telemetry.ts'
export { httpUpstream, type UpstreamOptions } from './http-upstream.ts'
export { type Listener, listen, PEER_HEADER, PortInUseError } from './listen.ts'
export { createLog, type Logger, type LogOptions, openLogFile } from './log.ts'
export { type OutboxMessage, type OutboxTables, outboxMigration, writeOutbox } from './outbox/outbox.ts'
export { type Relay, type RelayOptions, startRelay } from './outbox/relay.ts'
export { noteFatal, untilStopped } from './process-end.ts'
export { bearable, type Check, peerReadiness, probe, type Readiness, readinessOf } from './readiness.ts'
export { processVariables, runService, type ServiceProcess } from './run-service.ts'
export {
  type AppEnv,
  type RequestContext,
  type Service,
  type ServiceAppOptions,
  serviceApp,
} from './service.ts'
export { isUniqueViolation, openSql, type SqlOptions } from './sql/open.ts'
export {
  type ColumnTypes,
  type Migration,
  NewerSchemaError,
  type Sql,
  type SqlDialect,
  SqlFullError,
  SqlMisuseError,
  SqlOpenError,
  SqlUnavailableError,
  type TransactionOptions,
  UNFINISHED_RESTORE,
  UnfinishedRestoreError,
} from './sql/port.ts'
export { prepared } from './sql/prepared.ts'
export type { SchemaRecord, TableRecord } from './sql/schema-record.ts'
export {
  beginSpan,
  createRegistry,
  currentRequest,
  inRequest,
  Metrics,
  markFailed,
  noteActingUser,
  outsideTrace,
  pastSpan,
  type Reading,
  type Span,
  SpanKind,
  span,
  traceHeaders,
  untraced,
  withTrace,
} from './telemetry.ts'
export { startTracing } from './tracing.ts'
export { createTurns, type Turns } from './turns.ts'
export { version } from './version.ts'
export { within } from './within.ts'
