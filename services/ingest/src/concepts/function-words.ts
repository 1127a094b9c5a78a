/** Words that begin or fill a sentence but name nothing; a phrase stops at them. */
export const FUNCTION_WORDS: ReadonlySet<string> = new Set(
  (
    'a about above across after again against all almost alone along already also although always am among an and ' +
    'another any anybody anyone anything are around as ask at away back be became because become becomes been before ' +
    'began behind being below between both but by came can cannot come could day did do does doing done down during ' +
    'each either else end enough even ever every everyone everything few find first five for four from further gave ' +
    'get gets getting give given go goes going gone got had has have having he hello hence her here hers herself hey ' +
    'hi him himself his how however i if in including indeed instead into is it its itself just keep kept know known ' +
    'last late later least less let like likely long made mainly make makes making many may maybe me mean might mine ' +
    'more most mostly mr mrs ms dr much must my myself near nearly need neither never new next no nobody none nor not ' +
    'nothing now of off often oh ok okay old on once one only onto or other others otherwise our ours ourselves out ' +
    'over own per perhaps put quite rather really said same saw say says second see seem seemed seems seen set shall ' +
    'she should show since six so some somebody someone something sometimes soon st still such take taken tell than ' +
    'thank thanks that the their theirs them themselves then there therefore these they thing things this those though ' +
    'three through thus to together told too took toward towards two under until up upon us use used uses using ' +
    'usually various very via was way we well went were what whatever when where whether which while who whoever ' +
    'whole whom whose why will with within without would wow yes yet you your yours yourself'
  ).split(' '),
)

/** Words that may begin a name though they are function words elsewhere ("New York", "First Folio"). */
const IN_NAMES = 'new old first second three two four five six one last long st dr mr mrs ms'.split(' ')

export const NEVER_IN_NAMES: ReadonlySet<string> = new Set(
  [...FUNCTION_WORDS].filter((word) => !IN_NAMES.includes(word)),
)

/** What may stand in small letters inside a name. */
export const NAME_CONNECTORS: ReadonlySet<string> = new Set(
  'of the de la du van von der den le el al del di da y ter zu des dos das'.split(' '),
)

export const CALENDAR_WORDS: ReadonlySet<string> = new Set(
  (
    'january february march april may june july august september october november december monday tuesday ' +
    'wednesday thursday friday saturday sunday'
  ).split(' '),
)
