// What a person with a browser does, without one: follows redirects, keeps cookies, fills in the forms.

import assert from 'node:assert/strict'

const entities = { amp: '&', lt: '<', gt: '>', quot: '"' }

function unescape(text) {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (decimal) return String.fromCodePoint(Number(decimal))
    return entities[name] ?? whole
  })
}

function attribute(tag, name) {
  const value = tag.match(new RegExp(`\\s${name}="([^"]*)"`))?.[1]
  return value === undefined ? undefined : unescape(value)
}

/** Action and hidden fields of the page's one form. */
function parseForm(html) {
  const forms = html.match(/<form\s[^>]*>/g) ?? []
  assert.equal(forms.length, 1, `one form expected on:\n${html}`)
  const fields = new URLSearchParams()
  for (const input of html.match(/<input\s[^>]*>/g) ?? []) {
    if (attribute(input, 'type') === 'hidden') fields.set(attribute(input, 'name'), attribute(input, 'value'))
  }
  return { action: attribute(forms[0], 'action'), fields }
}

/** The second way is for Node.js 18. No cookie of the server's has a comma in it. */
function setCookies(headers) {
  return headers.getSetCookie?.() ?? headers.get('set-cookie')?.split(', ') ?? []
}

export class Browser {
  #origin
  #cookies = new Map()

  constructor(issuer) {
    this.#origin = new URL(issuer).origin
  }

  async #request(url, init = {}) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { ...init, redirect: 'manual', headers: cookie ? { cookie } : {} })
    for (const line of setCookies(response.headers)) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim())
      const [name, ...value] = pair.split('=')
      if (attributes.some((attribute) => /^max-age=0$/i.test(attribute))) this.#cookies.delete(name)
      else this.#cookies.set(name, value.join('='))
    }
    return response
  }

  /** From an authorization request to the redirect URI. Tells which pages were shown on the way. */
  async authorize(start, { username, password, decision }) {
    const pages = []
    let url = new URL(start)
    let response = await this.#request(url)
    for (let hops = 0; hops < 10; hops += 1) {
      const location = response.headers.get('location')
      if (location !== null) {
        assert.ok([302, 303].includes(response.status), `${response.status} of ${url}`)
        url = new URL(location, url)
        if (url.origin !== this.#origin) return { callback: url, pages }
        response = await this.#request(url)
        continue
      }
      const html = await response.text()
      assert.equal(response.status, 200, `${response.status} of ${url}:\n${html}`)
      const { action, fields } = parseForm(html)
      if (html.includes('name="password"')) {
        pages.push('login')
        fields.set('username', username)
        fields.set('password', password)
      } else {
        pages.push('consent')
        fields.set('decision', decision)
      }
      url = new URL(action, url)
      response = await this.#request(url, { method: 'POST', body: fields })
    }
    throw new Error(`no end of redirects at ${url}`)
  }
}
