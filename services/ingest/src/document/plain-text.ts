import { decodeText } from './charset.ts'
import { cleanCode, cleanLine, cleanText, joinWrappedLines } from './clean-text.ts'
import type { Block, ListItem, StructuredDocument } from './document.ts'

const ITEM = /^(\s*)(?:[-*+•–]|(\d{1,3}|[a-z])[.)])\s+(\S.*)$/
const UNDERLINE = /^(={3,}|-{3,}|~{3,})\s*$/

/** Plain text: paragraphs between empty lines, underlined headings, lists and indented code. */
export function parsePlainText(bytes: Uint8Array, declared?: string): StructuredDocument {
  const { text, damaged } = decodeText(bytes, [declared])
  const blocks: Block[] = []
  for (const lines of splitGroups(cleanText(text))) addGroup(blocks, lines)
  const warnings = damaged ? ['Some characters could not be read: the encoding of the file is unclear.'] : []
  return { authors: [], blocks, warnings }
}

/** Runs of lines between empty ones. */
function splitGroups(text: string): string[][] {
  const groups: string[][] = []
  let group: string[] = []
  for (const line of text.split('\n')) {
    if (line.trim() !== '') group.push(line.trimEnd())
    else if (group.length > 0) {
      groups.push(group)
      group = []
    }
  }
  if (group.length > 0) groups.push(group)
  return groups
}

function addGroup(blocks: Block[], lines: string[]): void {
  const underline = lines.length > 1 ? UNDERLINE.exec(lines[1]!) : null
  if (underline && lines[0]!.trim().length <= 120) {
    blocks.push({ type: 'heading', level: underline[1]!.startsWith('=') ? 1 : 2, text: cleanLine(lines[0]!) })
    if (lines.length > 2) addGroup(blocks, lines.slice(2))
    return
  }
  if (isCode(lines)) addCode(blocks, lines)
  else if (ITEM.test(lines[0]!) && countItems(lines) * 3 >= lines.length) addList(blocks, lines)
  else blocks.push({ type: 'paragraph', text: paragraphText(lines) })
}

function isCode(lines: string[]): boolean {
  if (!lines.every((line) => /^(?: {4}|\t)/.test(line))) return false
  const codelike = lines.filter((line) =>
    /[{}();=<>$|\\]|^\s+(?:def|class|import|for|if|return|end)\b/.test(line),
  )
  return codelike.length * 2 >= lines.length
}

function addCode(blocks: Block[], lines: string[]): void {
  const indent = lines.reduce((least, line) => Math.min(least, line.search(/\S/)), Number.POSITIVE_INFINITY)
  const text = cleanCode(lines.map((line) => line.slice(indent)).join('\n'))
  const last = blocks.at(-1)
  if (last?.type === 'code') last.text += `\n\n${text}`
  else blocks.push({ type: 'code', text })
}

function countItems(lines: string[]): number {
  return lines.reduce((count, line) => count + (ITEM.test(line) ? 1 : 0), 0)
}

function addList(blocks: Block[], lines: string[]): void {
  const items: (ListItem & { lines: string[]; indent: number })[] = []
  const indents: number[] = []
  for (const line of lines) {
    const item = ITEM.exec(line)
    if (!item) {
      items.at(-1)!.lines.push(line)
      continue
    }
    const indent = item[1]!.replaceAll('\t', '    ').length
    while (indents.length > 0 && indents.at(-1)! > indent) indents.pop()
    if (indents.length === 0 || indents.at(-1)! < indent) indents.push(indent)
    items.push({ text: '', level: Math.min(indents.length - 1, 31), lines: [item[3]!], indent })
  }
  const ordered = /^\s*(\d|[a-z][.)])/.test(lines[0]!)
  const done = items.map(({ level, lines: own }) => ({ text: joinWrappedLines(own), level }))
  const last = blocks.at(-1)
  if (last?.type === 'list' && last.ordered === ordered) last.items.push(...done)
  else blocks.push({ type: 'list', ordered, items: done })
}

/**
 * Lines that were wrapped at a margin are joined; lines that end early on purpose (verse, addresses, a log) keep
 * their breaks. A margin shows in all lines but the last being about as long as the longest.
 */
function paragraphText(lines: string[]): string {
  const lengths = lines.slice(0, -1).map((line) => line.trim().length)
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0)
  const short = lengths.filter((length) => length < longest * 0.7).length
  const wrapped = longest >= 40 && longest <= 200 && short <= lengths.length * 0.1
  if (wrapped) return joinWrappedLines(lines)
  return lines.map((line) => line.trim().replace(/[ \t]+/g, ' ')).join('\n')
}
