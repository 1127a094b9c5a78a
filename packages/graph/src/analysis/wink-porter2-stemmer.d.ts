declare module 'wink-porter2-stemmer' {
  // biome-ignore lint/style/noDefaultExport: the package is made so
  export default function stem(word: string): string
}
