const WORDS = {
  ready: ['ok', 'Everything is ready.'],
  degraded: ['degraded', 'It works, with less than it could.'],
  starting: ['degraded', 'Starting…'],
  down: ['error', 'Something that is needed is down.'],
}

for (const place of document.querySelectorAll('[data-origin]')) place.textContent = location.origin

const health = document.querySelector('#health')
const table = document.querySelector('#checks')

async function refresh() {
  try {
    const answer = await fetch('/ready/', { cache: 'no-store' })
    const { status, checks } = await answer.json()
    const [kind, words] = WORDS[status] ?? ['error', status]
    say(kind, words)
    table.tBodies[0].replaceChildren(...Object.entries(checks).map(rowOf))
    table.hidden = Object.keys(checks).length === 0
  } catch {
    say('error', 'It does not answer.')
  }
}

/** Changed only when it differs: a screen reader announces every change. */
function say(kind, words) {
  health.className = kind
  if (health.textContent !== words) health.textContent = words
}

function rowOf([name, check]) {
  const dot = name.indexOf('.')
  const [service, need] = dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)]
  const row = document.createElement('tr')
  for (const text of [service, need]) row.append(cell(text))
  const state = cell(check.detail ? `${check.status}: ${check.detail}` : check.status)
  state.className = check.status
  row.append(state)
  return row
}

function cell(text) {
  const td = document.createElement('td')
  td.textContent = text
  return td
}

refresh()
setInterval(() => document.hidden || refresh(), 5_000)
