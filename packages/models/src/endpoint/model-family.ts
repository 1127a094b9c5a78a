/** How a model wants its texts, where its name tells. */
export interface ModelFamily {
  /** Longest text that is seen whole, in tokens. */
  maxTokens: number
  queryPrefix: string
  passagePrefix: string
  /** Whether a library type's instruction goes to the model, and before what. */
  instructions: Instructions
}

export type Instructions = 'none' | 'queries' | 'both'

const PLAIN: ModelFamily = { maxTokens: 512, queryPrefix: '', passagePrefix: '', instructions: 'none' }

/** The first that fits counts. From the models' cards. */
const FAMILIES: [RegExp, Partial<ModelFamily>][] = [
  [/bge-m3/, { maxTokens: 8192 }],
  [/bge-(small|base|large)-zh/, { queryPrefix: '为这个句子生成表示以用于检索相关文章：' }],
  [/bge-/, { queryPrefix: 'Represent this sentence for searching relevant passages: ' }],
  [/text-embedding-(3|ada)/, { maxTokens: 8192 }],
  [/qwen3-(vl-)?embedding/, { maxTokens: 8192, instructions: 'both' }],
  [/e5-mistral|gte-qwen|sfr-embedding|linq-embed/, { maxTokens: 4096, instructions: 'both' }],
  [/instruct/, { instructions: 'both' }],
  [/(^|[/_-])e5-/, { queryPrefix: 'query: ', passagePrefix: 'passage: ' }],
  [
    /nomic-embed-text/,
    { maxTokens: 2048, queryPrefix: 'search_query: ', passagePrefix: 'search_document: ' },
  ],
  [
    /embeddinggemma/,
    {
      maxTokens: 2048,
      queryPrefix: 'task: search result | query: ',
      passagePrefix: 'title: none | text: ',
    },
  ],
  [
    /mxbai-embed|snowflake-arctic-embed/,
    { queryPrefix: 'Represent this sentence for searching relevant passages: ' },
  ],
]

/** What is known of a model by its name, for example `BAAI/bge-small-en-v1.5` or `qwen3-embedding:0.6b`. */
export function familyOf(model: string): ModelFamily {
  const name = model.toLowerCase()
  return { ...PLAIN, ...FAMILIES.find(([pattern]) => pattern.test(name))?.[1] }
}

/** The form that instructed models were trained with (E5, Qwen3). */
export function instructedQuery(instruction: string, query: string): string {
  return `Instruct: ${instruction}\nQuery: ${query}`
}

export function instructedPassage(instruction: string, passage: string): string {
  return `Instruct: ${instruction}\nPassage: ${passage}`
}
