// The door for processes that analyse text and open no store: they load neither SQLite nor usearch.
export { conceptKey, titleConceptKey } from './concept-keys.ts'
