import { createLog } from '@mnemosyne/platform'
import { findModel, modelCacheDir } from '../find-model.ts'

let search: Promise<string> | undefined

/**
 * Folder of the default model, downloaded once per machine into the usual cache. Rejects, with what to do,
 * where none can be had; see `modelForSuite` to skip then.
 */
export function testModelDir(): Promise<string> {
  search ??= find()
  return search
}

async function find(): Promise<string> {
  const { HF_ENDPOINT, MNEMOSYNE_CACHE_DIR } = process.env
  const found = await findModel({
    cacheDir: modelCacheDir({ MNEMOSYNE_CACHE_DIR }),
    hubUrl: HF_ENDPOINT,
    log: createLog({ component: 'test', level: 'silent' }),
  })
  if (found.kind === 'missing') throw new Error(`${found.reason} ${found.whatToDo}`)
  return found.dir
}

/**
 * For a test file that needs the model: its folder, or `undefined` with the reason on the console, to be
 * used as `describe.skipIf(!dir)`. With `CI=true` it rejects instead, so that nothing is skipped unseen.
 */
export async function modelForSuite(suite: string): Promise<string | undefined> {
  try {
    return await testModelDir()
  } catch (error) {
    if (process.env.CI === 'true') throw error
    console.warn(`SKIPPED ${suite}: ${(error as Error).message}`)
    return undefined
  }
}
