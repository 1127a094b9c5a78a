import MarkdownIt, { type Token } from 'markdown-it'
import { BlockBuilder } from './block-builder.ts'
import { decodeText } from './charset.ts'
import { cleanCode, cleanLine, cleanLines, cleanText } from './clean-text.ts'
import type { StructuredDocument } from './document.ts'
import { readFrontMatter } from './front-matter.ts'
import { parseHtmlFragment } from './html.ts'
import { parsePlainText } from './plain-text.ts'

const MAX_NESTING = 100

/** CommonMark with tables, and front matter in YAML or TOML. */
export function parseMarkdown(bytes: Uint8Array): StructuredDocument {
  const { text, damaged } = decodeText(bytes)
  const { metadata, body } = readFrontMatter(cleanText(text))
  const tokens = new MarkdownIt({ html: true, maxNesting: MAX_NESTING }).parse(body, {})
  const warnings = damaged ? ['Some characters could not be read: the encoding of the file is unclear.'] : []
  if (tokens.some((token) => token.level >= MAX_NESTING - 1)) {
    warnings.push(`Text nested more than ${MAX_NESTING} levels deep was left out.`)
  }
  const blocks = readBlocks(tokens)
  if (blocks.length === 0 && warnings.length > 0) return parsePlainText(bytes)
  return { authors: [], ...metadata, blocks, warnings }
}

function readBlocks(tokens: Token[]) {
  const builder = new BlockBuilder()
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index]!
    if (token.type === 'heading_open') {
      const text = cleanLine(inlineText(tokens[index + 1]))
      if (text !== '') builder.add({ type: 'heading', level: Number(token.tag.slice(1)), text })
      index += 2
    } else if (token.type === 'inline') addParagraph(builder, token)
    else if (token.type === 'fence' || token.type === 'code_block') addCode(builder, token)
    else if (token.type === 'html_block')
      for (const block of parseHtmlFragment(token.content)) builder.add(block)
    else if (token.type === 'table_open') index = addTable(builder, tokens, index)
    else if (token.type === 'bullet_list_open') builder.open('list')
    else if (token.type === 'ordered_list_open') builder.open('list', true)
    else if (token.type === 'list_item_open') builder.open('item')
    else if (token.type === 'blockquote_open') builder.open('quotation')
    else if (/^(bullet_list|ordered_list|list_item|blockquote)_close$/.test(token.type)) builder.close()
  }
  return builder.finish()
}

function addParagraph(builder: BlockBuilder, token: Token): void {
  const children = (token.children ?? []).filter(
    (child) => child.type !== 'softbreak' && child.content !== '',
  )
  const image = children.length === 1 && children[0]?.type === 'image'
  const text = cleanLines(inlineText(token))
  if (text === '') return
  builder.add(image ? { type: 'image', alt: text.replaceAll('\n', ' ') } : { type: 'paragraph', text })
}

function addCode(builder: BlockBuilder, token: Token): void {
  const text = cleanCode(token.content)
  const language = token.info
    .trim()
    .split(/\s+/)[0]
    ?.replace(/^\{?\.?|\}$/g, '')
  if (text !== '') builder.add({ type: 'code', text, ...(language && { language }) })
}

function addTable(builder: BlockBuilder, tokens: Token[], start: number): number {
  const header: string[][] = []
  const rows: string[][] = []
  let target = header
  let index = start
  for (; tokens[index]!.type !== 'table_close'; index += 1) {
    const token = tokens[index]!
    if (token.type === 'tbody_open') target = rows
    else if (token.type === 'tr_open') target.push([])
    else if (token.type === 'inline') target.at(-1)!.push(cleanLine(inlineText(token)))
  }
  builder.add({ type: 'table', rows, ...(header.length > 0 && { header }) })
  return index
}

function inlineText(token: Token | undefined): string {
  let text = ''
  for (const child of token?.children ?? []) {
    if (child.type === 'softbreak') text += ' '
    else if (child.type === 'hardbreak') text += '\n'
    else if (child.type === 'image') text += inlineText(child) || child.content
    else if (child.type === 'html_inline') text += /^<br\b/i.test(child.content) ? '\n' : ''
    else text += child.content
  }
  return text
}
