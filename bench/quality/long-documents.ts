import type { Chunk, LibraryType } from '@mnemosyne/contracts'
import type { SystemClient } from '../../test/system/client.ts'
import { seeded } from '../random.ts'
import { chunksOf } from '../system.ts'
import type { StorePlan } from './arrangements.ts'
import type { Document, TestCollection } from './collection.ts'
import { shuffled } from './small-scopes.ts'
import { newLibrary, nothingYet, type TakenIn, takeIn } from './take-in.ts'

const DOCUMENTS_AN_ITEM = 20
/** Letters and digits in a row by which a text is known again. */
const RUN = 24

/** Of a store of long documents: the passages that hold each document. */
interface Cut extends TakenIn {
  holding: Record<string, string[]>
}

/**
 * Documents in their order tell of related things, those drawn by lot of nothing in common. In non-fiction sections share a
 * passage where they fit into one, in a technical text only those that are very short.
 */
const KINDS = {
  long: { order: 'in order', type: 'nonfiction' },
  sectioned: { order: 'by lot', type: 'technical' },
  jumbled: { order: 'by lot', type: 'nonfiction' },
} as const satisfies Record<string, { order: string; type: LibraryType }>

/**
 * Twenty documents at a time are the sections of one item, as which they are cut. A passage is relevant where it holds
 * half of a relevant document, or is half of it.
 */
export function longDocuments(collection: TestCollection, kind: keyof typeof KINDS): StorePlan {
  const { name } = collection
  const { order, type } = KINDS[kind]
  const documents = order === 'in order' ? collection.documents : shuffled(collection.documents, seeded(20))
  const volumes = volumesOf(documents.filter(({ text }) => text.trim() !== ''))
  return {
    name: `${name}-${kind}`,
    contents: { type, volumes },
    fill: async (system): Promise<Cut> => {
      const taken = nothingYet()
      await newLibrary(system, taken, name, type)
      await takeIn(system, taken, { library: name, documents: volumes.map(({ whole }) => whole) })
      return { ...taken, holding: await findDocuments(system, taken, volumes) }
    },
    tests: (taken) => {
      const { holding, places, passages } = taken as Cut
      const questions = collection.queries.map(({ _id, text }) => {
        const relevant = new Map<string, number>()
        for (const [document, grade] of collection.judgements.get(_id)!) {
          for (const uid of holding[document] ?? []) {
            relevant.set(uid, Math.max(grade, relevant.get(uid) ?? 0))
          }
        }
        return { id: _id, text, where: places[name]!, relevant }
      })
      const put = `${documents.length} documents ${order} in ${volumes.length} items and ${passages} passages`
      return [
        {
          name: `${name}, ${kind}`,
          about: `${put}, judged by passage`,
          questions: questions.filter(({ relevant }) => relevant.size > 0),
          judged: ({ chunk_uid }) => chunk_uid,
        },
      ]
    },
  }
}

interface Volume {
  whole: Document
  parts: Document[]
}

function volumesOf(documents: Document[]): Volume[] {
  const volumes: Volume[] = []
  for (let at = 0; at < documents.length; at += DOCUMENTS_AN_ITEM) {
    const parts = documents.slice(at, at + DOCUMENTS_AN_ITEM)
    const number = volumes.length + 1
    const text = parts
      .map(({ title, text }, n) => {
        const heading = title === '' ? `Part ${n + 1}` : title
        // One heading over what follows one another under it, as the turns of a conversation.
        return n > 0 && title !== '' && parts[n - 1]!.title === title ? text : `## ${heading}\n\n${text}`
      })
      .join('\n\n')
    volumes.push({ whole: { _id: `volume-${number}`, title: `Volume ${number}`, text }, parts })
  }
  return volumes
}

/** The uids of the passages that hold each document. */
async function findDocuments(
  system: SystemClient,
  { documentOf }: TakenIn,
  volumes: Volume[],
): Promise<Record<string, string[]>> {
  const volumeOf = new Map(volumes.map((volume) => [volume.whole._id, volume]))
  const holding: Record<string, string[]> = {}
  for (const [item_uid, id] of Object.entries(documentOf)) {
    const passages = await chunksOf(system, item_uid)
    for (const { _id, text } of volumeOf.get(id)!.parts) holding[_id] = passagesHolding(text, passages)
  }
  const lost = Object.entries(holding).filter(([, passages]) => passages.length === 0)
  // A few, of which markup is most, are in no passage as they were written.
  if (lost.length > Object.keys(holding).length / 100) {
    throw new Error(`${lost.length} documents are in no passage, ${lost[0]![0]} among them.`)
  }
  return holding
}

function passagesHolding(text: string, passages: Chunk[]): string[] {
  const whole = plain(text)
  const runs = runsOf(whole)
  return passages.flatMap(({ chunk_uid, text }) => {
    const passage = plain(text)
    const common = runs.filter((run) => passage.includes(run)).length
    const isOfIt = common >= runs.length / 2 || common * RUN >= passage.length / 2
    return isOfIt ? [chunk_uid] : []
  })
}

/** Letters and digits alone: what a parser leaves of white space and markup does not matter. */
const plain = (text: string) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '')

/** One after another; what is left at the end is of no run, unless it is all. */
function runsOf(text: string): string[] {
  if (text.length <= RUN) return [text]
  return Array.from({ length: Math.floor(text.length / RUN) }, (_, n) => text.slice(n * RUN, (n + 1) * RUN))
}
