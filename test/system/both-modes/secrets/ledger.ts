/** Every secret of a run, and the forms in which one could get out. */
export class Secrets {
  readonly #forms = new Map<string, Map<string, Buffer>>()

  /** Returns `value`. `name` says what it is; several may have the same. */
  add(name: string, value: string): string {
    const unique = this.#forms.has(name) ? `${name} (${this.#forms.size})` : name
    this.#forms.set(unique, formsOf(value))
    return value
  }

  get count(): number {
    return this.#forms.size
  }

  /** `what, as form, in place` for each that stands in these bytes and may not stand there. */
  foundIn(place: string, bytes: Buffer, may: (name: string) => boolean = () => false): string[] {
    return [...this.#forms]
      .filter(([name]) => !may(name))
      .flatMap(([name, forms]) =>
        [...forms]
          .filter(([, form]) => bytes.includes(form))
          .map(([form]) => `${name}, ${form}, in ${place}`),
      )
  }
}

const HEX = /^([0-9a-f]{2}){16,}$/

/** From this length on a half is as telling as the whole, and a log line that was cut holds a half. */
const LONG = 40

function formsOf(value: string): Map<string, Buffer> {
  const bytes = Buffer.from(value)
  const forms: [string, string | Buffer][] = [
    ['as it is', value],
    ['escaped as in JSON', JSON.stringify(value).slice(1, -1)],
    ['escaped twice', JSON.stringify(JSON.stringify(value).slice(1, -1)).slice(1, -1)],
    ['percent-encoded', encodeURIComponent(value)],
    ['as in a form', new URLSearchParams({ x: value }).toString().slice(2)],
    ['in hex', bytes.toString('hex')],
    ...inBase64(bytes),
  ]
  if (HEX.test(value)) {
    const raw = Buffer.from(value, 'hex')
    forms.push(['as bytes', raw], ...inBase64(raw))
  }
  if (value.length >= LONG) forms.push(['its second half', value.slice(value.length / 2)])
  return new Map(forms.map(([name, form]) => [name, Buffer.from(form as string)]))
}

/** As base64 of something in which it stands, wherever it begins there: what is the same in all of these. */
function inBase64(bytes: Buffer): [string, string][] {
  return ([0, 1, 2] as const).flatMap((offset): [string, string][] => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes])
    const first = Math.ceil((offset * 8) / 6)
    const last = Math.floor((shifted.length * 8) / 6)
    const text = (form: 'base64' | 'base64url') => shifted.toString(form).slice(first, last)
    return [
      [`in base64, offset ${offset}, of ${bytes.length}`, text('base64')],
      [`in base64url, offset ${offset}, of ${bytes.length}`, text('base64url')],
    ]
  })
}
