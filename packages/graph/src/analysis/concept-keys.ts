export function conceptKey(_text: string): string | null {
  throw new Error('not written yet')
}
export function titleConceptKey(_title: string): string | null {
  throw new Error('not written yet')
}
export function conceptKeys(_text: string, _maxWords = 6): string[] {
  throw new Error('not written yet')
}
