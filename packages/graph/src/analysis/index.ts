// The door for processes and threads that analyse text and open no store: they load neither SQLite nor usearch.
export { conceptKey, conceptKeys, titleConceptKey } from './concept-keys.ts'
export { phraseTerms, queryTerms, quotedPhrases } from './query.ts'
export { terms } from './terms.ts'
export { isAscii, normalise, WORD_MAX, words } from './words.ts'
