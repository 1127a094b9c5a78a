/**
 * HEALTHCHECK of the image, where there is no curl: 0 when the service in this container is ready, also with less than
 * it could have; 1 with the reason on stdout, which `docker inspect` shows.
 */
const port = process.env.LISTEN_PORT
const PATIENCE_MS = 4_000

try {
  if (!port) throw new Error('LISTEN_PORT is not set')
  const answer = await fetch(`http://127.0.0.1:${port}/ready/`, { signal: AbortSignal.timeout(PATIENCE_MS) })
  console.log(await answer.text())
  process.exitCode = answer.ok ? 0 : 1
} catch (error) {
  const { message, cause } = error as Error
  console.log(cause instanceof Error ? `${message}: ${cause.message}` : message)
  process.exitCode = 1
}
