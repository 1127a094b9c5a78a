/** A process to be killed by a test: opens a processor, starts on the file named, and reports its children's ids. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { createLog, Metrics } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { openProcessor } from '../src/processing/open-processor.ts'
import { DEFAULT_CHUNKING } from './default-chunking.ts'

const path = process.argv[2]!
const processor = openProcessor({
  size: 2,
  limits: {
    timeoutMs: 60_000,
    maxRssBytes: 2 ** 31,
    maxOutputBytes: 2 ** 20,
    maxInputBytes: 2 ** 26,
    maxPages: 10,
  },
  inputDirs: [dirname(path)],
  log: createLog({ component: 'test', level: 'silent' }),
  metrics: new Metrics(new Registry(), 'test'),
})
void processor.process({
  path,
  itemUid: 'orphan',
  chunking: DEFAULT_CHUNKING.technical,
  libraryType: 'technical',
  onStage: () => {
    const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
    process.send!(children.split(' ').filter(Boolean).map(Number))
  },
})
