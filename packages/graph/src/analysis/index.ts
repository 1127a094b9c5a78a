export { conceptKey, conceptKeys, titleConceptKey } from './concept-keys.ts'
export { queryTerms } from './query.ts'
export { STOP_WORDS, terms, words } from './terms.ts'
