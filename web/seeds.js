// Seeds: three buttons below the seed's control, and the last twenty seeds with the picture that each made.

import {app} from '../../scripts/app.js'
import {addPanel, chain, changed, dress, grow, make, nodeOf, t, view} from './lib/page.mjs'
import {fresh, KINDS, remembered, seedsOf} from './lib/seeds.mjs'

const HISTORY = 'image_mixer_seeds'
const BUTTONS = 26
const STRIP = 42
const TRIES = 20

const panels = new WeakMap()

class Panel {
  constructor(node) {
    this.node = node
    this.seed = node.widgets.find(widget => widget.name === 'seed')
    const button = (text, title, onclick) => make('button', {type: 'button', class: 'imx-button', title, onclick}, text)
    this.each = button(t('random'), t('Another seed for every queue'), () => this.set(undefined, this.control?.value === 'randomize' ? 'fixed' : 'randomize'))
    this.keep = button(t('new, keep'), t('Draw a seed now and keep it'), () => this.set(fresh(), 'fixed'))
    this.last = button(t('last'), t('Take the seed of the last run and keep it'), () => this.set(this.history[0].seed, 'fixed'))
    this.strip = make('div', {class: 'imx-strip', 'data-scrolls': true, role: 'group', 'aria-label': t('The last seeds')})
    this.element = make('div', {class: 'imx-panel imx-seeds'}, make('div', {class: 'imx-trio'}, this.each, this.keep, this.last), this.strip)
    addPanel(app, node, 'seeds', this.element, () => this.height + 12)
    for (const other of [this.seed, this.control]) if (other) chain(other, 'callback', () => this.show())
    for (const moment of ['onConfigure', 'onAdded', 'onConnectionsChange']) chain(node, moment, () => queueMicrotask(() => this.show()))
    this.show()
  }

  get control() {
    return this.seed.linkedWidgets?.[0]
  }

  get history() {
    return this.node.properties?.[HISTORY] ?? []
  }

  get height() {
    return BUTTONS + (this.history.length ? STRIP : 0)
  }

  set(seed, control) {
    if (seed !== undefined) {
      this.seed.value = seed
      this.seed.callback?.(seed)
    }
    if (this.control) {
      this.control.value = control
      this.control.callback?.(control)
    }
    this.show()
    changed(app)
  }

  show() {
    const {node} = this
    const linked = node.inputs?.some(input => input.name === 'seed' && input.link != null)
    for (const button of [this.each, this.keep]) button.disabled = linked
    this.last.disabled = linked || !this.history.length
    this.each.setAttribute('aria-pressed', this.control?.value === 'randomize')
    this.element.style.minHeight = `${this.height}px`
    this.strip.hidden = !this.history.length
    const known = JSON.stringify(this.history)
    if (known === this.known) return
    const before = this.known
    this.known = known
    this.strip.replaceChildren(...this.history.map(({seed, image}) =>
      make('button', {type: 'button', class: 'imx-once', title: t('seed {0}', seed), 'aria-label': t('Take seed {0}', seed), onclick: () => this.set(seed, 'fixed')},
        image ? make('img', {src: view(app, image), alt: '', loading: 'lazy', draggable: 'false'}) : '#')))
    if (before !== undefined && node.graph && !app.configuringGraph) grow(node)
  }
}

/** Notes the seeds of a run that has ended. The page may hear of the end before the server's history has it. */
async function note(id) {
  for (let tries = 0; tries < TRIES; tries++) {
    const entry = (await (await app.api.fetchApi(`/history/${id}`)).json())[id]
    if (entry) {
      for (const {id: node, type, seed, image} of seedsOf(entry)) {
        const found = nodeOf(app, node)
        if (found?.type !== type || !panels.has(found)) continue
        found.setProperty?.(HISTORY, remembered(found.properties?.[HISTORY], {seed, image}))
        panels.get(found).show()
      }
      return
    }
    await new Promise(done => setTimeout(done, 150))
  }
}

app.registerExtension({
  name: 'imagemixer.seeds',
  init: dress,
  nodeCreated(node) {
    if (KINDS.includes(node.comfyClass ?? node.type)) panels.set(node, new Panel(node))
  },
  setup() {
    app.api.addEventListener('execution_success', ({detail}) => note(detail.prompt_id).catch(() => {}))
  },
})
