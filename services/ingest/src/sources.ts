import {
  type BlobSource,
  type Logger,
  type Metrics,
  openFolderSource,
  openS3Source,
  s3SourceLocation,
} from '@mnemosyne/platform'
import type { IngestConfig } from './config.ts'
import type { Sources } from './routes/router.ts'

/**
 * Where other programs keep the files that they have ingested: a folder where one is named, else a bucket, else
 * undefined, and requests that name that source are answered 503.
 */
export async function openSources(
  config: IngestConfig,
  options: { closing: AsyncDisposableStack; log: Logger; metrics: Metrics },
): Promise<Sources> {
  const { closing, ...around } = options
  const open = async (name: 'DAEDALUS' | 'SPELUNKER'): Promise<BlobSource | undefined> => {
    const folder = config[`${name}_STORAGE_DIR`]
    if (folder) return openFolderSource(folder)
    const bucket = s3SourceLocation('ingest', name, config)
    return bucket && closing.use(await openS3Source({ ...bucket, ...around }))
  }
  return { daedalus: await open('DAEDALUS'), spelunker: await open('SPELUNKER') }
}
