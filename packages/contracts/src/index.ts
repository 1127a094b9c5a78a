export { accountsContract, CSRF_HEADER, LOGIN_REFUSED, SESSION_COOKIE, Session } from './accounts.ts'
export { adminContract, NewUser, SigningKey } from './admin.ts'
export { AUDIT_RECORDS_MAX, AuditRecord } from './audit.ts'
export {
  authContract,
  authInternalContract,
  Credential,
  REFUSAL_REASONS,
  RefusalReason,
  Resolution,
  readResolution,
} from './auth.ts'
export {
  type CallContext,
  CallError,
  type Client,
  createClient,
  type FetchHandler,
} from './client.ts'
export {
  FreeText,
  IsoTime,
  LIST_LIMIT_DEFAULT,
  LIST_LIMIT_MAX,
  listAnswer,
  Name,
  Page,
  Uid,
} from './common.ts'
export {
  COMMANDS,
  type CommandData,
  type CommandQueue,
  EVENTS,
  type EventData,
  type EventType,
  SUBSCRIPTIONS,
  validateMessage,
} from './events.ts'
export {
  GOLDEN_QUERIES_MAX,
  GOLDEN_RANK_MAX,
  GoldenQuery,
  GoldenResult,
  GoldenRun,
  GoldenRunDetail,
  goldenQueriesContract,
  goldenQueriesInternalContract,
} from './golden-queries.ts'
export {
  ContentHash,
  IngestRequest,
  ingestAdminContract,
  ingestContract,
  Job,
  JobStage,
  JobStatus,
  SourceKey,
  UPLOAD_PATH,
  UploadFields,
} from './ingest.ts'
export {
  Chunk,
  ChunkInContext,
  ChunkingConfig,
  Collection,
  EmbeddingStatus,
  Item,
  LIBRARY_TYPES,
  Library,
  LibraryDetail,
  LibraryType,
  LibraryTypeInfo,
  libraryAdminContract,
  libraryContract,
  libraryInternalContract,
  WORKSPACES_ASKED_MAX,
  Workspace,
  WorkspaceId,
} from './library.ts'
export { Member, MembershipRole, membersContract } from './members.ts'
export {
  DELEGATES,
  DELEGATION_HEADER,
  type Delegations,
  encodeDelegations,
  hasStaffLevel,
  PRINCIPAL_HEADER,
  Principal,
  parseDelegations,
  REQUEST_ID_HEADER,
  SERVICE_NAMES,
  type ServiceName,
  STAFF_LEVELS,
  StaffLevel,
  Surface,
  servicePrincipal,
} from './principal.ts'
export {
  Candidate,
  Degraded,
  ExplainAnswer,
  ExplainRequest,
  QUERY_MAX,
  SEARCH_LIMIT_MAX,
  SEARCH_TYPES,
  SearchAnswer,
  SearchRequest,
  SearchType,
  searchContract,
} from './search.ts'
export { Team, teamsContract } from './teams.ts'
export { EditToken, GROUPS, Group, MintToken, Password, Preferences, User, UserToken } from './users.ts'
