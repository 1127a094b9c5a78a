import type { Block } from '../document/document.ts'
import type { ChunkingStrategy } from './chunk.ts'

/** How one strategy reads a document. */
export interface Strategy {
  /** Level of the heading that a paragraph is in truth, or undefined. */
  headingLevel?: (text: string) => number | undefined
  /** The paragraph parts what is before it from what follows, and no chunk reaches across. */
  isBreak?: (text: string) => boolean
  /**
   * Which sections of one parent may share a chunk: `small` those below `min_tokens`, `any` as many as fit in
   * `target_tokens`, `none` not any.
   */
  merge: 'small' | 'any' | 'none'
}

const NUMBER_WORD =
  'one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|the first|the second|the last'
const CHAPTER = new RegExp(
  `^(?:chapter|book|part|act|letter|stave|canto)\\s+(?:\\d+|[ivxlc]+|${NUMBER_WORD})\\b[^\\n]{0,80}$`,
  'i',
)
const OPENING =
  /^(?:prologue|epilogue|preface|foreword|introduction|afterword|contents|appendix(?: [a-z\d]+)?)[.:]?$/i
const SCENE_BREAK = /^(?:[*#•⁂~—–-]\s*){1,7}$/
const SLUG_LINE = /^(?:\d+[a-z]?\.?\s+)?(?:INT|EXT|EST|INT\.?\/EXT|EXT\.?\/INT|I\/E)[. ]\s*\S[^\n]{0,120}$/
const MONTH =
  'jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?'
const WEEKDAY = '(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?'
const DATE = new RegExp(
  `^(?:${WEEKDAY},?\\s+)?(?:\\d{4}-\\d{2}-\\d{2}|\\d{1,2}[./]\\d{1,2}[./]\\d{2,4}|(?:the\\s+)?\\d{1,2}(?:st|nd|rd|th)?\\.?\\s+(?:of\\s+)?(?:${MONTH})\\b\\.?,?(?:\\s+\\d{4})?|(?:${MONTH})\\b\\.?\\s+\\d{1,2}(?:st|nd|rd|th)?(?:,?\\s+\\d{4})?)(?:[ ,:.–—-][^\\n]{0,60})?$`,
  'i',
)
const SONG_PART =
  /^\[?(?:intro|verse|pre-?chorus|chorus|refrain|bridge|outro|hook|coda|interlude)\b[^\n\]]{0,30}\]?:?$/i

export const STRATEGIES: Record<ChunkingStrategy, Strategy> = {
  heading: { merge: 'small' },
  section: { merge: 'any' },
  chapter: { headingLevel: chapterLevel, isBreak: (text) => SCENE_BREAK.test(text), merge: 'small' },
  scene: { headingLevel: (text) => (SLUG_LINE.test(text) ? 4 : undefined), merge: 'small' },
  stanza: { merge: 'none' },
  work: { merge: 'none' },
  entry: { headingLevel: (text) => (isDate(text) ? 4 : undefined), merge: 'none' },
  statement: { merge: 'small' },
}

/** Chapters printed as ordinary lines, as in plain-text books. */
function chapterLevel(text: string): number | undefined {
  if (text.length > 100) return undefined
  if (/^(?:book|part|act)\s/i.test(text) && CHAPTER.test(text)) return 2
  return CHAPTER.test(text) || OPENING.test(text) ? 3 : undefined
}

/** A line that is a date, with or without a place or a time after it. */
export function isDate(text: string): boolean {
  return text.length <= 100 && DATE.test(text.trim())
}

/** `Verse 2:` and its like, which belong to the stanza below. */
export function isSongPart(text: string): boolean {
  return SONG_PART.test(text)
}

/** Speech in prose begins with a quotation mark or, in many languages, a dash. */
export function isDialogue(block: Block): boolean {
  return block.type === 'paragraph' && /^["“„«‘'—–]\s?\p{L}/u.test(block.text)
}

/** In a screenplay the speaker's name stands in capitals above the speech. */
export function isSpeaker(line: string): boolean {
  return (
    line.length <= 40 &&
    /^\p{Lu}[\p{Lu}\d .'’#-]*(?:\s*\([^)]{0,30}\))?$/u.test(line) &&
    !SLUG_LINE.test(line)
  )
}
