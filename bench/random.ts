/** The same numbers in every run: Mulberry32. Each from 0 to below 1. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export function pick<T>(random: () => number, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)]!
}

const ONSETS = ['b', 'br', 'd', 'dr', 'f', 'g', 'h', 'k', 'l', 'm', 'n', 'p', 'r', 's', 'st', 't', 'v', 'w']
const NUCLEI = ['a', 'e', 'i', 'o', 'u', 'ae', 'ei', 'ou']
const CODAS = ['l', 'n', 'r', 'm', 'k', 'nd', 'sh', 'th']
const SYLLABLES = ONSETS.flatMap((onset) => NUCLEI.map((nucleus) => onset + nucleus))

/** The n-th word of a language that nobody speaks. Every n has its own. */
export function madeUpWord(n: number): string {
  let word = ''
  for (let rest = n; ; rest = Math.floor(rest / SYLLABLES.length) - 1) {
    word = SYLLABLES[rest % SYLLABLES.length]! + word
    if (rest < SYLLABLES.length) return word + CODAS[n % CODAS.length]!
  }
}

export function madeUpName(n: number): string {
  const word = madeUpWord(n)
  return word[0]!.toUpperCase() + word.slice(1)
}
