import { spawn, execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { test, expect } from 'vitest'
import { startPostgres, startRabbitMq, startNeo4j, startS3, createS3Bucket, startNginx } from '@mnemosyne/platform/testing'
import { generateAssertionKeys, publicKeys } from '@mnemosyne/platform'
const INSIDE = `
set -e
run() { "$@"; }
export AWS_S3_ENDPOINT_URL=$S3 AWS_ACCESS_KEY_ID=$S3KEY AWS_SECRET_ACCESS_KEY=$S3SECRET AWS_STORAGE_BUCKET_NAME=$BUCKET
M="node apps/cli/src/main.ts"
$M setup 2>&1 || echo SETUP FAILED
$M create-user ada --superuser --no-password 2>&1 || true
$M create-user-token --user ada --name t --allowed-libraries '*' --json 2>&1 | sed 's/^/TOKEN /' || true
i=24181
for s in gateway auth library ingest search mcp; do
 if [ $s = gateway -o $s = mcp ]; then K=$PRIVATE; else K=$PUBLIC; fi
 LISTEN_HOST=127.0.0.1 LISTEN_PORT=$i ASSERTION_KEYS=$K node services/$s/src/main.ts 2>&1 | sed "s/^/$s: /" &
 i=$((i+1))
done
echo STARTED
sleep 150
`
test('image', async () => {
  const pg = await startPostgres(); const mq = await startRabbitMq(); const neo = await startNeo4j(); const s3 = await startS3()
  const bucket = await createS3Bucket(s3)
  const keys = await generateAssertionKeys('k')
  const nginx = await startNginx({ gateway: 'http://127.0.0.1:24181', mcp: 'http://127.0.0.1:24186' })
  const env = { DATABASE_URL: pg.url, AMQP_URL: mq.url, NEO4J_URL: neo.url, S3: bucket.endpoint, S3KEY: bucket.accessKeyId, S3SECRET: bucket.secretAccessKey, BUCKET: bucket.bucket,
    PRIVATE: JSON.stringify(keys), PUBLIC: JSON.stringify(publicKeys(keys)),
    AUTH_URL: 'http://127.0.0.1:24182', LIBRARY_URL: 'http://127.0.0.1:24183', INGEST_URL: 'http://127.0.0.1:24184', SEARCH_URL: 'http://127.0.0.1:24185', MCP_URL: 'http://127.0.0.1:24186', ALLOWED_HOSTS: '127.0.0.1' }
  const child = spawn('deploy/docker/try-without-engine.sh', ['sh', '-c', INSIDE], { env: { ...process.env, NETWORK: 'host', ...Object.fromEntries(Object.entries(env).map(([k, v]) => ['TRY_' + k, v])) }, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let out = ''
  child.stdout.on('data', (d) => { out += d; writeFileSync('/tmp/img/e2e.log', out) }); child.stderr.on('data', (d) => { out += d; writeFileSync('/tmp/img/e2e.log', out) })
  try {
    const until = async (what: string, f: () => unknown, ms = 120000) => { const end = Date.now() + ms; for (;;) { try { const r = await f(); if (r) return r } catch {} ; if (Date.now() > end) throw new Error(what); await new Promise(r => setTimeout(r, 300)) } }
    await until('started', () => out.includes('STARTED'), 200000)
    await until('healthz', async () => (await fetch(nginx.url + '/healthz')).status === 200)
    await until('ready', async () => (await fetch(nginx.url + '/ready/')).status === 200)
    console.log(await (await fetch(nginx.url + '/healthz')).text(), await (await fetch(nginx.url + '/ready/')).text())
    const token = JSON.parse(/^TOKEN (\{.*\})$/m.exec(out)![1]!).token
    const h = { authorization: 'Bearer ' + token }
    const j = async (path: string, body?: unknown) => { const r = await fetch(nginx.url + path, { method: body ? 'POST' : 'GET', headers: { ...h, 'content-type': 'application/json' }, body: body ? JSON.stringify(body) : undefined }); const t = await r.text(); console.log(path, r.status, t.slice(0, 400)); return JSON.parse(t) }
    await until('first answer', async () => (await fetch(nginx.url + '/library/api/libraries/', { headers: h })).status === 200)
    const lib = await j('/library/api/libraries/', { name: 'Test', library_type: 'technical' })
    const form = new FormData(); form.set('file', new Blob([readFileSync(process.env.FILE ?? 'README.md')]), process.env.FILE?.split('/').pop() ?? 'README.md'); form.set('library_uid', lib.uid)
    const up = await fetch(nginx.url + '/library/api/items/upload/', { method: 'POST', headers: h, body: form }); const job = await up.json(); console.log(up.status, JSON.stringify(job).slice(0, 300))
    const done = await until('job', async () => { const x = await (await fetch(nginx.url + `/library/api/jobs/${job.job_id}/`, { headers: h })).json(); return ['completed', 'failed'].includes(x.status) && x }) as any
    console.log(JSON.stringify(done).slice(0, 500))
    await j('/library/api/search/', { query: process.env.QUERY ?? 'how do I start it', limit: 2 })
    console.log(execFileSync('sh', ['-c', "ps -eo user,rss,args | grep -E 'services/[a-z]+/src/main.ts|processing/child|onnx-process' | grep -v grep"]).toString())
    expect(done.status).toBe('completed')
  } finally {
    try { process.kill(-child.pid!, 'SIGTERM') } catch {}
    execFileSync('sh', ['-c', "for p in $(pgrep -g " + child.pid + "); do kill -9 $p; done; true"])
    await nginx.close(); await pg.close(); await mq.close(); await neo.close(); await s3.close()
  }
}, 500000)
