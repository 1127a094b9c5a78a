/** For an image with the embedding model in it: puts the default model into MNEMOSYNE_CACHE_DIR, or fails. */
import { findModel, modelCacheDir } from '@mnemosyne/models'
import { createLog } from '@mnemosyne/platform'

const found = await findModel({
  cacheDir: modelCacheDir(process.env),
  hubUrl: process.env.HF_ENDPOINT || undefined,
  log: createLog({ component: 'image', level: 'info' }),
})
if (found.kind === 'missing') {
  console.error(`${found.reason}\n${found.whatToDo}`)
  process.exitCode = 1
}
