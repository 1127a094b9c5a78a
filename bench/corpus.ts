import { readFileSync } from 'node:fs'
import { writePdf } from './pdf.ts'
import { madeUpName, pick, seeded } from './random.ts'

export interface SourceFile {
  name: string
  type: string
  content: string | Uint8Array
}

const SAMPLES = [
  'fiction/moby-dick-loomings.md',
  'fiction/pride-and-prejudice-chapter-1.md',
  'fiction/hound-of-the-baskervilles-chapter-1.txt',
  'technical/brenna-40-installation-and-operation.md',
  'technical/brenna-40-maintenance-and-troubleshooting.md',
  'technical/loom-c2-serial-protocol.md',
]

/**
 * Documents of English prose that no two runs of the same seed differ in and no two documents share: sentences of
 * the samples in a new order, with names of their own among them. No passage of one is a passage of another, since
 * a text that is known is not embedded again.
 */
export class Corpus {
  readonly #random: () => number
  readonly #sentences = SAMPLES.flatMap(sentencesOf)
  #documents = 0

  constructor(seed: number) {
    this.#random = seeded(seed)
  }

  /** A document of about `words` words: in turn Markdown, HTML, plain text and PDF. */
  document(words: number): SourceFile {
    const n = this.#documents++
    const title = `${this.#name()} ${this.#name()} handbook ${n}`
    const sections = Array.from({ length: Math.max(1, Math.round(words / 400)) }, () => ({
      heading: `${this.#name()} and ${this.#name()}`,
      paragraphs: Array.from({ length: 4 }, () => this.#prose(100)),
    }))
    switch (n % 4) {
      case 0: {
        const body = sections.map(({ heading, paragraphs }) => `## ${heading}\n\n${paragraphs.join('\n\n')}`)
        return { name: `${n}.md`, type: 'text/markdown', content: `# ${title}\n\n${body.join('\n\n')}\n` }
      }
      case 1: {
        const body = sections.map(
          ({ heading, paragraphs }) =>
            `<h2>${heading}</h2>${paragraphs.map((text) => `<p>${text}</p>`).join('')}`,
        )
        const content = `<!doctype html><title>${title}</title><h1>${title}</h1>${body.join('\n')}`
        return { name: `${n}.html`, type: 'text/html', content }
      }
      case 2: {
        const body = sections.map(({ heading, paragraphs }) => `${heading}\n\n${paragraphs.join('\n\n')}`)
        return { name: `${n}.txt`, type: 'text/plain', content: `${title}\n\n${body.join('\n\n')}\n` }
      }
      default: {
        const pages = sections.map(({ heading, paragraphs }) => `${heading}. ${paragraphs.join(' ')}`)
        return { name: `${n}.pdf`, type: 'application/pdf', content: writePdf(title, pages) }
      }
    }
  }

  /** A PDF of `pages` pages of some 400 words. */
  pdf(pages: number): SourceFile {
    const title = `${this.#name()} ${this.#name()} yearbook`
    const content = writePdf(
      title,
      Array.from({ length: pages }, () => this.#prose(400)),
    )
    return { name: 'yearbook.pdf', type: 'application/pdf', content }
  }

  #prose(words: number): string {
    let text = `${this.#name()} ${this.#name()} noted this on day ${Math.floor(this.#random() * 1e6)}.`
    for (let count = 8; count < words; ) {
      const sentence = pick(this.#random, this.#sentences)
      text += ` ${sentence}`
      count += sentence.split(' ').length
    }
    return text
  }

  #name(): string {
    return madeUpName(Math.floor(this.#random() * 20_000))
  }
}

function sentencesOf(sample: string): string[] {
  const text = readFileSync(new URL(`../samples/${sample}`, import.meta.url), 'utf8')
  return text
    .split(/\n{2,}/)
    .filter((block) => !/^[#|>`\-*\d<]/.test(block))
    .flatMap((block) => block.replace(/\s+/g, ' ').split(/(?<=[.!?])\s/))
    .filter((sentence) => /^[A-Z].{30,300}[.!?]$/.test(sentence) && !/[<&`]/.test(sentence))
}
