import { z } from 'zod'
import { FreeText, IsoTime, Name, Uid } from './common.ts'

/** The groups that there are; what each may do on staff surfaces rises in this order (Staff and SME alike). */
export const GROUPS = ['View Only', 'Staff', 'SME', 'Admin'] as const
export const Group = z.enum(GROUPS)
export type Group = z.infer<typeof Group>

export const Preferences = z.object({
  theme: z.enum(['system', 'light', 'dark']),
  /** An IANA time zone. */
  time_zone: z.string().max(64),
  date_format: z.enum(['iso', 'day_first', 'month_first']),
})
export type Preferences = z.infer<typeof Preferences>

export const User = z.object({
  id: Uid,
  username: z.string(),
  email: z.string(),
  first_name: z.string(),
  last_name: z.string(),
  organization: z.string(),
  is_active: z.boolean(),
  is_staff: z.boolean(),
  is_superuser: z.boolean(),
  groups: z.array(Group),
  /** Whether there is a password to sign in with. */
  has_password: z.boolean(),
  created_at: IsoTime,
  updated_at: IsoTime,
})
export type User = z.infer<typeof User>

export const PASSWORD_MIN = 8
export const Password = z
  .string()
  .min(PASSWORD_MIN, `Has at least ${PASSWORD_MIN} characters.`)
  .max(1_024, 'Has at most 1024 characters.')

/** `hint` is `tok_…` and the first 8 characters of the hash: enough to tell tokens apart, useless to call with. */
export const UserToken = z.object({
  id: Uid,
  name: z.string(),
  hint: z.string(),
  is_active: z.boolean(),
  expires_at: IsoTime.nullable(),
  last_used_at: IsoTime.nullable(),
  allowed_tools: z.array(z.string()),
  allowed_libraries: z.array(z.string()),
  created_at: IsoTime,
})
export type UserToken = z.infer<typeof UserToken>

const AllowedTools = z.array(FreeText(100)).max(100)

/** Library uids, or `["*"]`: every library that the user is a member of, and the global ones, live. */
const AllowedLibraries = z.array(z.union([Uid, z.literal('*')])).max(1000)

export const MintToken = z.object({
  name: Name(100),
  expires_at: IsoTime.nullable().default(null),
  allowed_tools: AllowedTools.default([]),
  allowed_libraries: AllowedLibraries.default([]),
})

/** What is left out stays as it is. */
export const EditToken = z.object({
  name: Name(100).optional(),
  expires_at: IsoTime.nullable().optional(),
  allowed_tools: AllowedTools.optional(),
  allowed_libraries: AllowedLibraries.optional(),
})
