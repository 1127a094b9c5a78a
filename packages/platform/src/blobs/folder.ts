import type { BlobSource, BlobStore } from './port.ts'

/** Blobs as files under `dir`, which is created when missing. */
export async function openFolderBlobs(dir: string): Promise<BlobStore> {
  throw new Error('not implemented')
}

/** A folder that another program fills. It may appear later than this is opened. */
export async function openFolderSource(dir: string): Promise<BlobSource> {
  throw new Error('not implemented')
}
