/**
 * Who may do what with what: the expected answer of every operation, for every relation in which somebody can stand
 * to what they ask for. The rows of `rows.ts` say which line of these tables an operation follows.
 *
 *   ok        the operation's success
 *   200, 404  this status; a 404 (and a 400, unless the id is malformed) is the answer for `missing`, but for the id
 *   empty     success, a list (or search) without anything in it, and the same as for `missing`
 *   idle      success, but nothing is changed, and the same as for `missing`
 *   change    success for staff of at least this level (view < change < delete < super), others get 403
 *   view:404  404 (or what else stands there) for staff of at least this level, others get 403
 *   session   success for callers by session, others get 404
 *   -         cannot be asked
 *
 * Whoever comes with a credential that is not good gets 401, whatever they ask for.
 */
const TABLES = `
library            unnamed  own  co-owner  manager  reader  global      foreign  missing  deleted  malformed
read               -        ok   ok        ok       ok      ok          404      404      404      400
list readable      ok       ok   ok        ok       ok      ok          empty    empty    empty    400
list ingestable    ok       ok   ok        ok       empty   ok          empty    empty    empty    400
search             ok       ok   ok        ok       ok      ok          404      404      404      400
ingest             -        ok   ok        ok       404     ok          404      404      404      400
job                -        ok   ok        ok       404     ok          404      404      404      400
curate             -        ok   ok        ok       403     change      404      404      404      400
clear out          -        ok   ok        ok       403     delete      404      404      404      400
own                -        ok   ok        403      403     change      404      404      404      404
delete             -        ok   ok        403      403     delete      404      404      404      400
make               ok       -    -         -        -       -           -        -        -        -
make global        change   -    -         -        -       -           -        -        -        -
workspace          -        ok   404       404      404     -           404      404      404      404
make workspace     -        200  404       404      404     -           404      201      201      400
delete workspace   -        ok   idle      idle     idle    -           idle     idle     idle     idle
ingest workspace   -        ok   404       404      404     -           404      404      404      404
ingest collection  -        ok   404       404      404     404         404      404      404      400
hand over          -        ok   ok        403      403     change:400  404      404      404      404
put into a token   -        ok   ok        ok       400     ok          400      400      400      400
list               ok       -    -         -        -       -           -        -        -        -
see members        -        ok   ok        ok       403     403         404      404      404      404
share to read      -        ok   ok        ok       403     403         404      404      404      404
share more         -        ok   ok        403      403     403         404      404      404      404
leave              -        409  ok        ok       ok      403         404      404      404      404

token   unnamed  own  revoked  foreign  missing  malformed
list    ok       -    -        -        -        -
mint    ok       -    -        -        -        -
read    -        ok   ok       404      404      404
edit    -        ok   409      404      404      404
revoke  -        ok   ok       404      404      404

token for a library  member's  stranger's  revoked  missing  malformed
allow                ok        404         404      404      404

team    unnamed  own  inactive  foreign  missing  malformed
list    ok       -    -         -        -        -
read    -        ok   ok        404      404      404
create  -        200  200       409      201      400
rotate  -        200  409       409      200      400

account     unnamed  person  staff  superuser  missing     malformed
list        view     -       -      -          -           -
see         -        view    view   view       view:404    view:404
make        change   -       -      -          -           -
make staff  super    -       -      -          -           -
change      -        change  super  super      change:404  change:404
delete      -        delete  super  super      delete:404  delete:404

held    unnamed  existing  missing     malformed
list    view     -         -           -
make    change   -         -           -
change  -        change    change:404  change:404
delete  -        delete    delete:404  delete:404

oneself     unnamed
anybody     ok
by session  session
`

export type Level = 'none' | 'view' | 'change' | 'delete' | 'super'
const LEVELS: readonly Level[] = ['none', 'view', 'change', 'delete', 'super']
const CELL = /^(-|ok|empty|idle|session|[2-5]\d\d|(view|change|delete|super)(:\d{3})?)$/

export interface Expected {
  status: number
  /** But for the ids that were asked for, the answer is the one for what does not exist. */
  alike: boolean
  /** A list or search without anything in it. */
  empty: boolean
  /** Done, as far as the answer tells, or seen. */
  granted: boolean
}

interface Line {
  relations: readonly string[]
  cells: readonly string[]
}

const LINES: ReadonlyMap<string, Line> = readTables(TABLES)

/** The relations of a line that can be asked for. */
export function relationsOf(access: string): string[] {
  const { relations, cells } = lineNamed(access)
  return relations.filter((_, index) => cells[index] !== '-')
}

/** What somebody of this level is answered; `success` is the status of the operation's success. */
export function expectedOf(
  access: string,
  relation: string,
  { level, session }: { level: Level; session: boolean },
  success: number,
): Expected {
  const { relations, cells } = lineNamed(access)
  const cell = cells[relations.indexOf(relation)]!
  const [word, otherwise] = cell.split(':') as [string, string | undefined]
  if (LEVELS.includes(word as Level)) {
    const granted = LEVELS.indexOf(level) >= LEVELS.indexOf(word as Level)
    return answered(granted ? (otherwise ? Number(otherwise) : success) : 403)
  }
  if (word === 'session') return session ? answered(success) : { ...answered(404), alike: false }
  if (word === 'ok') return answered(success)
  if (word === 'empty') return { status: success, alike: true, empty: true, granted: false }
  if (word === 'idle') return { status: success, alike: true, empty: false, granted: false }
  const refusedAsMissing = word === '400' && relation !== 'malformed'
  return { ...answered(Number(word)), ...(refusedAsMissing && { alike: true }) }
}

function answered(status: number): Expected {
  return { status, alike: status === 404, empty: false, granted: status < 300 }
}

function lineNamed(access: string): Line {
  const line = LINES.get(access)
  if (!line) throw new Error(`there is no line "${access}" in the tables of access`)
  return line
}

/** Lines by `<table>: <line>`. Columns are two spaces or more apart. */
function readTables(text: string): Map<string, Line> {
  const lines = text
    .trim()
    .split(/\n\n+/)
    .flatMap((table) => {
      const [[title, ...relations], ...rows] = table.split('\n').map((row) => row.trim().split(/ {2,}/)) as [
        [string, ...string[]],
        ...[string, ...string[]][],
      ]
      return rows.map(([name, ...cells]): [string, Line] => {
        if (cells.length !== relations.length)
          throw new Error(`${title}: ${name} has not a cell for each relation`)
        for (const cell of cells) {
          if (!CELL.test(cell)) throw new Error(`${title}: ${name} has a cell "${cell}", which means nothing`)
        }
        return [`${title}: ${name}`, { relations, cells }]
      })
    })
  return new Map(lines)
}
