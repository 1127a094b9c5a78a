export type ConceptKind = 'title' | 'named' | 'phrase'

/** A term of a document that may become a concept of the graph. */
export interface ExtractedConcept {
  /** Normal form: `conceptKey` of @mnemosyne/graph. */
  key: string
  /** As most often written. */
  name: string
  kind: ConceptKind
  concept_type: string
  /** How many times the document has it. */
  frequency: number
}
