const METHODS = ['get', 'post', 'put', 'patch', 'delete']
const token = document.querySelector('#token')
const place = document.querySelector('#operations')

try {
  const schema = await (await fetch('/api/schema/')).json()
  place.removeAttribute('role')
  place.replaceChildren(...sections(schema))
} catch {
  place.textContent = 'The schema could not be read. Reload the page to try again.'
}

function sections(schema) {
  const byTag = new Map()
  for (const [path, item] of Object.entries(schema.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = item[method].tags?.[0] ?? 'other'
      byTag.set(tag, [...(byTag.get(tag) ?? []), { path, method, operation: item[method] }])
    }
  }
  return [...byTag].map(([tag, operations]) =>
    element('section', {}, element('h2', {}, tag), ...operations.map(operationOf)),
  )
}

function operationOf({ path, method, operation }) {
  const form = element('form', {})
  const id = `${method}-${path}`.replace(/[^a-z0-9]+/gi, '-')
  const parameters = (operation.parameters ?? []).map((parameter) => {
    const input = element('input', { id: `${id}-${parameter.name}`, required: parameter.required === true })
    form.append(field(input, `${parameter.name} (${parameter.in})`, kindOf(parameter.schema)))
    return { ...parameter, input }
  })
  const body = bodyOf(operation, id, form)
  const button = element('button', { type: 'submit' }, 'Send')
  const answer = element('pre', { className: 'answer', hidden: true })
  answer.setAttribute('role', 'status')
  form.append(button, answer)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    button.disabled = true
    answer.hidden = false
    answer.textContent = '…'
    await send(method, addressOf(path, parameters), body(), answer)
    button.disabled = false
  })
  return element(
    'details',
    {},
    element(
      'summary',
      {},
      element('span', { className: 'method' }, method.toUpperCase()),
      element('code', {}, path),
      ` ${operation.summary ?? ''}`,
    ),
    form,
  )
}

/** Adds the inputs of the body to `form`; the result reads them. */
function bodyOf(operation, id, form) {
  const content = operation.requestBody?.content ?? {}
  const multipart = content['multipart/form-data']
  if (multipart) {
    const inputs = Object.entries(multipart.schema.properties).map(([name, schema]) => {
      const input = element('input', {
        id: `${id}-body-${name}`,
        type: schema.format === 'binary' ? 'file' : 'text',
      })
      form.append(field(input, name, kindOf(schema)))
      return { name, input }
    })
    return () => {
      const data = new FormData()
      for (const { name, input } of inputs) {
        const value = input.type === 'file' ? input.files[0] : input.value
        if (value) data.append(name, value)
      }
      return { body: data }
    }
  }
  const json = content['application/json']
  if (!json) return () => ({})
  const text = JSON.stringify(exampleOf(json.schema), null, 2)
  const area = element('textarea', { id: `${id}-body`, value: text, spellcheck: false })
  form.append(field(area, 'Body', ''))
  return () => ({ body: area.value, headers: { 'content-type': 'application/json' } })
}

function addressOf(path, parameters) {
  const query = new URLSearchParams()
  let address = path
  for (const parameter of parameters) {
    const { value } = parameter.input
    if (parameter.in === 'path') address = address.replace(`{${parameter.name}}`, encodeURIComponent(value))
    else if (parameter.in === 'query' && value !== '') query.append(parameter.name, value)
  }
  return query.size > 0 ? `${address}?${query}` : address
}

async function send(method, address, { body, headers }, answer) {
  const authorization = token.value.trim() ? { authorization: `Bearer ${token.value.trim()}` } : {}
  const started = performance.now()
  try {
    const response = await fetch(address, { method, body, headers: { ...headers, ...authorization } })
    const took = Math.round(performance.now() - started)
    const total = response.headers.get('x-total-count')
    const head = `${response.status} ${response.statusText} · ${took} ms${total ? ` · ${total} in all` : ''}\n\n`
    answer.textContent = head
    if (response.headers.get('content-type')?.startsWith('text/event-stream')) await follow(response, answer)
    else answer.textContent = head + readable(await response.text())
  } catch (error) {
    answer.textContent = `No answer: ${error.message}`
  }
}

async function follow(response, answer) {
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) answer.append(text)
}

function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

/** A body to start from: the required fields, and the others at their default. */
function exampleOf(schema = {}) {
  if ('default' in schema) return schema.default
  if ('const' in schema) return schema.const
  if (schema.enum) return schema.enum[0]
  const choice = schema.anyOf?.[0] ?? schema.oneOf?.[0] ?? schema.allOf?.[0]
  if (choice) return exampleOf(choice)
  if (schema.type === 'array') return []
  if (schema.type === 'object') {
    const wanted = Object.entries(schema.properties ?? {}).filter(
      ([name, property]) => schema.required?.includes(name) || 'default' in property,
    )
    return Object.fromEntries(wanted.map(([name, property]) => [name, exampleOf(property)]))
  }
  return { integer: schema.minimum ?? 0, number: 0, boolean: false, null: null }[schema.type] ?? ''
}

function kindOf(schema = {}) {
  if (schema.enum) return schema.enum.join(', ')
  // A bound that only says "a safe integer" tells a person nothing.
  const bounds = [schema.minimum, schema.maximum].map((bound) =>
    bound === undefined || Math.abs(bound) >= Number.MAX_SAFE_INTEGER ? '' : bound,
  )
  const range = bounds.some((bound) => bound !== '') ? ` ${bounds.join('…')}` : ''
  return `${[schema.type ?? ''].flat().join(' or ')}${range}`
}

function field(input, name, help) {
  const label = element('label', { htmlFor: input.id }, name)
  const wrapped = element('p', { className: 'field' }, label, input)
  if (help) {
    const hint = element('small', { id: `${input.id}-help` }, help)
    input.setAttribute('aria-describedby', hint.id)
    wrapped.append(hint)
  }
  return wrapped
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}
