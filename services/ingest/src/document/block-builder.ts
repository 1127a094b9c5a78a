import { type Block, type ListItem, renderDocument } from './document.ts'

interface Frame {
  kind: 'root' | 'list' | 'item' | 'quotation'
  ordered: boolean
  blocks: Block[]
  items: ListItem[]
}

/** Containers inside containers beyond this depth are read as if they were not there; no document needs more. */
const MAX_DEPTH = 32

/**
 * Builds the flat blocks of a document from the nested open and close events of a markup language. Lists become
 * one block with levels; what else stands inside a list item or a quotation becomes its text.
 */
export class BlockBuilder {
  #stack: Frame[] = [newFrame('root')]
  /** Containers that were opened too deep to count. */
  #ignored = 0

  add(block: Block): void {
    this.#top.blocks.push(block)
  }

  get inContainer(): boolean {
    return this.#stack.length > 1
  }

  open(kind: 'list' | 'item' | 'quotation', ordered = false): void {
    if (this.#stack.length >= MAX_DEPTH) this.#ignored += 1
    else this.#stack.push(newFrame(kind, ordered))
  }

  close(): void {
    if (this.#ignored > 0) {
      this.#ignored -= 1
      return
    }
    if (this.#stack.length === 1) return
    const frame = this.#stack.pop()!
    if (frame.kind === 'list') this.#closeList(frame)
    else if (frame.kind === 'item') this.#closeItem(frame)
    else this.#closeQuotation(frame)
  }

  finish(): Block[] {
    this.#ignored = 0
    while (this.#stack.length > 1) this.close()
    return this.#top.blocks
  }

  get #top(): Frame {
    return this.#stack.at(-1)!
  }

  #closeList(list: Frame): void {
    if (list.blocks.length > 0) this.#closeItem({ ...newFrame('item'), blocks: list.blocks }, list)
    if (list.items.length > 0) this.add({ type: 'list', ordered: list.ordered, items: list.items })
  }

  #closeItem(item: Frame, list = this.#top): void {
    const target = list.kind === 'list' ? list.items : undefined
    if (!target) {
      for (const block of item.blocks) list.blocks.push(block)
      return
    }
    let own: Block[] = []
    const flush = (always: boolean) => {
      const text = textOf(own)
      if (text !== '' || always) target.push({ text, level: 0 })
      own = []
    }
    for (const block of item.blocks) {
      if (block.type !== 'list') {
        own.push(block)
        continue
      }
      flush(true)
      for (const nested of block.items) target.push({ text: nested.text, level: nested.level + 1 })
    }
    flush(false)
  }

  #closeQuotation(quotation: Frame): void {
    const text = textOf(quotation.blocks)
    if (text !== '') this.add({ type: 'quotation', text })
  }
}

function newFrame(kind: Frame['kind'], ordered = false): Frame {
  return { kind, ordered, blocks: [], items: [] }
}

function textOf(blocks: Block[]): string {
  return renderDocument({ blocks }).text.replace(/\n{2,}/g, '\n')
}
