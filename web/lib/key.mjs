// The form that sets a key of the paid service. A key is only sent to the server; nothing here stores or shows one.

import {button, make, t} from './page.mjs'

const ROUTE = '/image_mixer/key'

/** Returns the form for all endpoints of this server. */
export function keyForm({api}) {
  const box = make('div', {class: 'imx-panel imx-keys'})
  const alert = line => box.append(make('div', {role: 'alert'}, line))
  api.fetchApi('/image_mixer/endpoints').then(reply => reply.json()).then(({endpoints, error}) => {
    box.append(...endpoints.map(endpoint => row(endpoint, api)))
    if (error) alert(error)
  }).catch(() => alert(t('The server does not answer.')))
  return box
}

function row({name, has_key: has}, api) {
  const state = make('span', {class: 'imx-state'})
  const said = make('div', {class: 'imx-said', role: 'status'})
  const field = make('input', {
    type: 'password', autocomplete: 'off', spellcheck: 'false', class: 'imx-secret',
    'aria-label': t('Key of {0}', name), placeholder: t('paste a key'),
    onkeydown: event => {
      event.stopPropagation()
      if (event.key === 'Enter') save()
    },
  })
  const show = set => {
    state.textContent = set ? t('set') : t('not set')
    test.disabled = !set
  }
  const ask = async (method, path, fields, line) => {
    said.textContent = t('One moment…')
    try {
      const reply = await api.fetchApi(path, {method, headers: {'Content-Type': 'application/json'}, body: JSON.stringify({endpoint: name, ...fields})})
      const answer = await reply.json()
      said.textContent = answer.error ?? answer.line ?? line(answer)
      if (typeof answer.set === 'boolean') show(answer.set)
    } catch {
      said.textContent = t('The server does not answer.')
    }
  }
  const save = () => {
    const key = field.value
    field.value = ''
    return key.trim() ? ask('POST', ROUTE, {key: key.trim()}, () => t('The key is set.')) : field.focus()
  }
  const named = (text, onclick) => button(text, onclick, {'aria-label': `${text}, ${name}`})
  const test = named(t('Test'), () => ask('POST', '/image_mixer/test', {}, () => ''))
  const forget = named(t('Forget'), () =>
    ask('DELETE', ROUTE, {}, ({set}) => (set ? t('The key in the environment variable stays.') : t('The key is forgotten.'))))
  show(has)
  return make('div', {class: 'imx-key', role: 'group', 'aria-label': name},
    make('div', {class: 'imx-name'}, name, ' ', state), make('div', {class: 'imx-ask'}, field, named(t('Set'), save), test, forget), said)
}
