import type { AuditRecord } from '@mnemosyne/contracts'
import type { Audited } from './record.ts'

/** Milliseconds in which alike records of one actor are kept as one. */
const FOLD_MS = 60_000
/** Kinds of record for which one actor is given rows of their own in that time. All the anonymous are one actor. */
const KINDS_AN_ACTOR = 200
const KINDS_ANONYMOUS = 20
const MOST_KINDS = 5_000

interface Kind {
  actor: string
  /** Told apart in full, and counted against its actor. */
  fine: boolean
  /** Nothing more of this kind is handed out before. */
  quietUntil: number
  held?: AuditRecord
}

/**
 * Keeps records that are alike as one, so that a flood of refusals costs a bounded number of rows. The first of a
 * kind is handed out at once, what follows within a minute as one record at its end, with a count, and the id,
 * time and request of the first of them. An actor who brings too many kinds is told of by the coarse form only.
 * Times are milliseconds of any steady clock.
 */
export class Folding {
  readonly #kinds = new Map<string, Kind>()
  readonly #fine = new Map<string, number>()
  readonly #foldMs: number

  constructor({ foldMs = FOLD_MS }: { foldMs?: number } = {}) {
    this.#foldMs = foldMs
  }

  /** False when there was no room for it. */
  add(record: AuditRecord, coarse: Audited): boolean {
    const own = keyOf(record)
    if (this.#fold(own, record)) return true
    const fine = this.#fine.get(record.actor) ?? 0
    const most = record.actor === 'anonymous' ? KINDS_ANONYMOUS : KINDS_AN_ACTOR
    if (fine < most && this.#kinds.size < MOST_KINDS) {
      this.#fine.set(record.actor, fine + 1)
      this.#kinds.set(own, { actor: record.actor, fine: true, quietUntil: -Infinity, held: record })
      return true
    }
    const rough = { ...record, outcome: 'done' as const, detail: {}, ...coarse, token_id: null }
    const key = `rough ${keyOf(rough)}`
    if (this.#fold(key, rough)) return true
    if (this.#kinds.size >= MOST_KINDS) return false
    this.#kinds.set(key, { actor: record.actor, fine: false, quietUntil: -Infinity, held: rough })
    return true
  }

  /** Takes out what is due; `all`: what waits for the end of its minute as well. */
  take(now: number, { all = false } = {}): AuditRecord[] {
    const due: AuditRecord[] = []
    for (const [key, kind] of this.#kinds) {
      if (now < kind.quietUntil && !all) continue
      if (kind.held) {
        due.push(kind.held)
        kind.held = undefined
        kind.quietUntil = now + this.#foldMs
      } else this.#forget(key, kind)
    }
    return due
  }

  #fold(key: string, record: AuditRecord): boolean {
    const kind = this.#kinds.get(key)
    if (!kind) return false
    if (kind.held) kind.held.count += record.count
    else kind.held = record
    return true
  }

  #forget(key: string, { actor, fine }: Kind): void {
    this.#kinds.delete(key)
    if (!fine) return
    const left = this.#fine.get(actor)! - 1
    if (left > 0) this.#fine.set(actor, left)
    else this.#fine.delete(actor)
  }
}

function keyOf({ actor, token_id, action, target, outcome, detail }: AuditRecord): string {
  return JSON.stringify([actor, token_id, action, target, outcome, detail])
}
