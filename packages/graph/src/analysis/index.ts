/** The analyser alone, for processes that must not load the store (parsers, chunkers, concept extraction). */
export { conceptKey, conceptKeys, titleConceptKey } from './concept-keys.ts'
export { queryTerms } from './query.ts'
export { STOP_WORDS, stem, terms } from './terms.ts'
export { words } from './words.ts'
