import {
  type ChunkingConfig,
  LIBRARY_TYPES,
  type LibraryType,
  type LibraryTypeInfo,
} from '@mnemosyne/contracts'

type TypeData = Omit<LibraryTypeInfo, 'library_type'>

/**
 * What a library starts from, by its type. Targets leave room in a model of 512 tokens for the instruction and
 * special tokens; prose is cut larger than reference text, where one hit should be one answer.
 */
export const libraryTypes: Record<LibraryType, TypeData> = {
  fiction: {
    description: 'Novels, stories, plays and poems in prose: narrated worlds and their people.',
    chunking_config: chunking('chapter', 360, 80, 40, ['dialogue']),
    embedding_instruction:
      'Represent this passage of fiction for retrieval by its characters, places, events, mood and themes.',
    reranker_instruction:
      'Prefer passages in which what is asked about happens, is said or is described over those that only name it.',
    llm_context_prompt:
      'These passages come from works of fiction. What they say is true within the story only, and a character or ' +
      'narrator may be mistaken or lie: say who speaks. Passages may be out of order; go by chapter and scene. ' +
      'Quote exactly, and cite the work and its chapter.',
    concept_types: ['author', 'book', 'character', 'place', 'theme'],
    image_meaning: 'Covers.',
  },
  nonfiction: {
    description: 'Books, essays, articles and reports about the real world.',
    chunking_config: chunking('section', 320, 80, 40, ['table', 'quotation']),
    embedding_instruction:
      'Represent this passage of nonfiction for retrieval by its topic, claims, people, places and events.',
    reranker_instruction: 'Prefer passages that state, explain or give evidence for what is asked.',
    llm_context_prompt:
      'These passages come from works of nonfiction. Treat them as what their authors claim: attribute claims, keep ' +
      'facts apart from opinion, mind the date of the work, and say where sources disagree. Cite the work and its ' +
      'section or page for each claim.',
    concept_types: ['author', 'work', 'topic', 'person', 'place', 'event'],
    image_meaning: 'Photographs and charts that support the text beside them.',
  },
  technical: {
    description: 'Manuals, references, specifications, runbooks and papers on how things work.',
    chunking_config: chunking('heading', 300, 60, 0, ['code', 'table', 'list']),
    embedding_instruction:
      'Represent this technical documentation for retrieval by product, component, procedure, command and error.',
    reranker_instruction:
      'Prefer passages that give the exact procedure, command, setting or explanation asked for, for the same ' +
      'product and version.',
    llm_context_prompt:
      'These passages come from technical documentation. Give commands, options, code and error messages exactly as ' +
      'they stand, keep the steps of a procedure complete and in order, and name the product and version that they ' +
      'hold for. If the passages do not cover a step, say so; do not fill it in. Cite document and section.',
    concept_types: ['product', 'manual', 'section', 'procedure', 'command', 'error'],
    image_meaning: 'Diagrams and screenshots of what the text explains.',
  },
  music: {
    description: 'Lyrics, liner notes, reviews and the facts of recordings.',
    chunking_config: chunking('stanza', 240, 40, 0, ['stanza']),
    embedding_instruction:
      'Represent this text about music for retrieval by artist, album, track, genre, mood and what is sung of.',
    reranker_instruction:
      'Prefer the lyrics, credits or notes of the very artist, album or track that is asked for.',
    llm_context_prompt:
      'These passages are lyrics, notes and credits of music. Keep lyrics apart from what is written about them, do ' +
      'not take the singer for the author, and quote lines exactly and sparingly. Cite artist, album and track.',
    concept_types: ['artist', 'album', 'track', 'genre', 'mood'],
    image_meaning: 'Artwork of albums and singles.',
  },
  film: {
    description: 'Screenplays, transcripts, reviews and notes on films and series.',
    chunking_config: chunking('scene', 320, 60, 0, ['speech']),
    embedding_instruction:
      'Represent this text about film for retrieval by film, scene, character, actor, director and what is said.',
    reranker_instruction:
      'Prefer the scene or speech that is asked for over passages that only mention the film.',
    llm_context_prompt:
      'These passages come from screenplays, transcripts and writing on film. Name the speaker of each line, keep ' +
      'stage directions apart from dialogue and characters apart from their actors, and remember that a script may ' +
      'differ from the film. Cite film and scene.',
    concept_types: ['director', 'film', 'scene', 'actor', 'character'],
    image_meaning: 'Stills and posters.',
  },
  art: {
    description: 'Works of art and what is written about them: catalogues, labels, criticism.',
    chunking_config: chunking('work', 320, 40, 0, ['table', 'quotation']),
    embedding_instruction:
      'Represent this text about art for retrieval by artist, piece, style, movement, medium and subject.',
    reranker_instruction: 'Prefer the description of the piece or artist that is asked for.',
    llm_context_prompt:
      'These passages describe works of art. Keep what can be seen or is documented (artist, title, date, medium, ' +
      'size) apart from interpretation, and attribute the latter. Give titles and dates as they stand. Cite the ' +
      'work and its source.',
    concept_types: ['artist', 'piece', 'style', 'movement', 'medium'],
    image_meaning: 'The work itself.',
  },
  journal: {
    description: 'Diaries, logs, letters and notes by date.',
    chunking_config: chunking('entry', 320, 40, 40, []),
    embedding_instruction:
      'Represent this journal entry for retrieval by date, people, places, events, topics and feelings.',
    reranker_instruction: 'Prefer entries of the time, person or matter that is asked about.',
    llm_context_prompt:
      'These passages are personal journal entries. Put them in order of date, treat them as what the writer knew and ' +
      'felt on that day, and expect later entries to correct earlier ones. They are private: use only what the ' +
      'question needs. Cite the date of the entry.',
    concept_types: ['date', 'person', 'place', 'topic', 'feeling'],
    image_meaning: 'Photographs of the day.',
  },
  business: {
    description: 'Proposals, reports, contracts, minutes and slides of clients and engagements.',
    chunking_config: chunking('section', 300, 80, 0, ['table', 'list']),
    embedding_instruction:
      'Represent this business document for retrieval by client, engagement, deliverable, product and decision.',
    reranker_instruction:
      'Prefer passages on the same client or engagement, and the latest version of a document.',
    llm_context_prompt:
      'These passages come from business documents. Keep clients and engagements apart, tell drafts and proposals from ' +
      'what was agreed, mind dates and versions, and give names, figures and terms exactly. Cite document and ' +
      'section or slide.',
    concept_types: ['client', 'engagement', 'deliverable', 'product'],
    image_meaning: 'Logos and charts.',
  },
  finance: {
    description: 'Statements, filings, invoices and analyses: figures by account and period.',
    chunking_config: chunking('statement', 360, 60, 0, ['table']),
    embedding_instruction:
      'Represent this financial document for retrieval by account, instrument, issuer, period and figure.',
    reranker_instruction:
      'Prefer the statement or table of the very account, issuer and period that is asked for.',
    llm_context_prompt:
      'These passages come from financial documents. Quote figures exactly, with currency, unit, sign and period; ' +
      'never round, convert or add up without saying so and showing how. Read a table cell with its row and column ' +
      'headings. Do not carry figures from one period or entity to another. Cite document, period and page.',
    concept_types: ['account', 'instrument', 'period', 'issuer'],
    image_meaning: 'Scans and charts.',
  },
}

export const libraryTypeList: LibraryTypeInfo[] = LIBRARY_TYPES.map((library_type) => ({
  library_type,
  ...libraryTypes[library_type],
}))

function chunking(
  strategy: ChunkingConfig['strategy'],
  target_tokens: number,
  min_tokens: number,
  overlap_tokens: number,
  keep_whole: ChunkingConfig['keep_whole'],
): ChunkingConfig {
  return { strategy, target_tokens, max_tokens: 480, min_tokens, overlap_tokens, keep_whole }
}
