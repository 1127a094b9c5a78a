const LINE_BREAKS = /\r\n?|[\u0085\u2028\u2029\f\v]/g
// NUL and other controls, soft hyphen, zero-width space and word joiner, bidi embeddings, overrides and isolates,
// byte order mark, interlinear marks, and the invisible "tag" characters with which instructions can be hidden.
const INVISIBLE =
  /(?![\t\n])\p{Cc}|[\u00ad\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu
const ODD_SPACES = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g
const LIGATURES = /[\ufb00-\ufb06]/g
const EXPANSIONS = ['ff', 'fi', 'fl', 'ffi', 'ffl', 'st', 'st']
// UAX #15 "stream-safe text" allows 30 marks on one letter; more is no language.
const MARKS_BEYOND_30 = /(\p{M}{30})\p{M}+/gu
// Arabic and Hebrew as PDF fonts name their glyphs; the letters proper are their compatibility forms.
const PRESENTATION_FORMS = /[\ufb1d-\ufdfb\ufe70-\ufefc]+/g
const NOT_PLAIN_ASCII = /[^\t\n\x20-\x7e]/

/**
 * Makes text of any origin safe to store and to show: line feeds only, no control or bidi-override characters, no
 * lone surrogates (replaced by U+FFFD), plain blanks, ligatures spelled out, Unicode form NFC.
 */
export function cleanText(text: string): string {
  if (!NOT_PLAIN_ASCII.test(text)) return text
  return text
    .toWellFormed()
    .replace(LINE_BREAKS, '\n')
    .replace(INVISIBLE, '')
    .replace(ODD_SPACES, ' ')
    .replace(LIGATURES, (ligature) => EXPANSIONS[ligature.charCodeAt(0) - 0xfb00] ?? ligature)
    .replace(PRESENTATION_FORMS, (forms) => forms.normalize('NFKC'))
    .replace(MARKS_BEYOND_30, '$1')
    .normalize('NFC')
}

/** `cleanText` on one line: every run of white space becomes one blank. */
export function cleanLine(text: string): string {
  return cleanText(text).replace(/\s+/g, ' ').trim()
}

/** `cleanText` with runs of blanks collapsed and line feeds kept, but no empty lines. */
export function cleanLines(text: string): string {
  return cleanText(text)
    .replace(/[ \t]+/g, ' ')
    .replace(/ ?\n[ \n]*/g, '\n')
    .trim()
}

/** `cleanText` for code: white space inside lines is kept; empty lines around it and blanks at line ends go. */
export function cleanCode(text: string): string {
  return cleanText(text)
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .replace(/^\n+|\n+$/g, '')
}

// Scripts that part words by blanks; between the others a line break means nothing.
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}、。，！？」』）]/u

/** Joins the lines of one wrapped paragraph; a word broken by a hyphen before a small letter is made whole. */
export function joinWrappedLines(lines: string[]): string {
  let joined = ''
  for (const line of lines.map((each) => each.trim()).filter(Boolean)) {
    if (joined === '') joined = line
    else if (/\p{Ll}[-\u2010]$/u.test(joined) && /^\p{Ll}/u.test(line)) joined = joined.slice(0, -1) + line
    else if (UNSPACED.test(joined.at(-1) ?? '') && UNSPACED.test(line[0] ?? '')) joined += line
    else joined += ` ${line}`
  }
  return joined
}
