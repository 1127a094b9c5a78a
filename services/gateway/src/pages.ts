import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { AppEnv } from '@mnemosyne/platform'
import type { Hono } from 'hono'
import { openApiDocument } from './openapi.ts'

const HTML = 'text/html; charset=utf-8'
const SCRIPT = 'text/javascript; charset=utf-8'

const FILES = [
  { path: '/', file: 'home.html', type: HTML },
  { path: '/api/docs', file: 'docs.html', type: HTML },
  { path: '/static/page.css', file: 'page.css', type: 'text/css; charset=utf-8' },
  { path: '/static/icon.svg', file: 'icon.svg', type: 'image/svg+xml' },
  { path: '/static/home.js', file: 'home.js', type: SCRIPT },
  { path: '/static/docs.js', file: 'docs.js', type: SCRIPT },
]

/** Own files only: nothing inline, nothing from elsewhere, no form target, no frame of a stranger. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
].join('; ')

/** Reads the page's files once; the result adds them and the API's description to an app. */
export async function servePages(): Promise<(app: Hono<AppEnv>) => void> {
  const loaded = await loadFiles()
  let schema: Promise<{ body: string; etag: string }> | undefined
  return (app) => {
    for (const { path, type, body, etag } of loaded) {
      app.get(path, (c) => {
        // What is asked for by its version never changes.
        const forever = c.req.query('v') === versionOf(etag)
        return answer(c.req.raw, { type, body, etag, forever })
      })
    }
    app.get('/api/schema', async (c) => {
      schema ??= openApiDocument().then((document) => {
        const body = JSON.stringify(document)
        return { body, etag: etagOf(body) }
      })
      return answer(c.req.raw, { type: 'application/json', ...(await schema) })
    })
  }
}

/** Pages name each file with its version, so that caches may keep it. */
async function loadFiles() {
  const read = await Promise.all(
    FILES.map(async ({ file, ...rest }) => ({
      ...rest,
      body: await readFile(new URL(`../pages/${file}`, import.meta.url)),
    })),
  )
  const versions = new Map(read.map(({ path, body }) => [path, versionOf(etagOf(body))]))
  return read.map(({ path, type, body }) => {
    const whole = type === HTML ? Buffer.from(withVersions(body.toString(), versions)) : body
    return { path, type, body: whole, etag: etagOf(whole) }
  })
}

function withVersions(html: string, versions: Map<string, string>): string {
  return html.replaceAll(/"(\/static\/[^"]+)"/g, (_, path: string) => `"${path}?v=${versions.get(path)}"`)
}

interface Answer {
  type: string
  body: string | Buffer<ArrayBuffer>
  etag: string
  forever?: boolean
}

function answer(request: Request, { type, body, etag, forever }: Answer): Response {
  const headers = {
    etag,
    'cache-control': forever ? 'public, max-age=31536000, immutable' : 'no-cache',
    'content-security-policy': PAGE_POLICY,
  }
  if (request.headers.get('if-none-match') === etag) return new Response(null, { status: 304, headers })
  return new Response(body, { headers: { ...headers, 'content-type': type } })
}

function etagOf(body: string | Buffer): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
}

function versionOf(etag: string): string {
  return etag.slice(1, -1)
}
