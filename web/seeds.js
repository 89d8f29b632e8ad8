// Seeds: three buttons below the seed's control, and the last twenty seeds with their pictures.

import {app} from '../../scripts/app.js'
import {addPanel, button, changed, decider, follow, grow, make, nodeOf, put, showOn, t, view, widgetOf} from './lib/page.mjs'
import {fresh, KINDS, remembered, seedsOf} from './lib/seeds.mjs'

const HISTORY = 'image_mixer_seeds'
const BUTTONS = 26
const STRIP = 42
const TRIES = 20

const panels = new WeakMap()

class Panel {
  constructor(node) {
    this.node = node
    const named = (text, title, onclick) => button(text, onclick, {title})
    this.each = named(t('random'), t('A new seed for every queue'), () => this.set(undefined, this.control?.value === 'randomize' ? 'fixed' : 'randomize'))
    this.keep = named(t('new, keep'), t('Draw a seed now and keep it'), () => this.set(fresh(), 'fixed'))
    this.last = named(t('last'), t('Use the seed of the last run and keep it'), () => this.set(this.history[0].seed, 'fixed'))
    this.strip = make('div', {class: 'imx-strip', 'data-scrolls': true, role: 'group', 'aria-label': t('The last seeds')})
    this.element = make('div', {class: 'imx-panel imx-seeds'}, make('div', {class: 'imx-trio'}, this.each, this.keep, this.last), this.strip)
    follow(node, () => this.show())
    addPanel(node, 'seeds', this.element, () => this.height + 12)
    this.show()
  }

  get control() {
    return widgetOf(this.node, 'seed').linkedWidgets?.[0]
  }

  get history() {
    return this.node.properties[HISTORY] ?? []
  }

  get height() {
    return BUTTONS + (this.history.length ? STRIP : 0)
  }

  set(seed, control) {
    if (seed !== undefined) put(decider(this.node, 'seed'), seed)
    put(this.control, control)
    this.show()
    changed()
  }

  show() {
    const {node} = this
    const linked = !decider(node, 'seed')
    for (const button of [this.each, this.keep, ...this.strip.children]) button.disabled = linked
    this.last.disabled = linked || !this.history.length
    this.each.setAttribute('aria-pressed', this.control?.value === 'randomize')
    this.element.style.minHeight = `${this.height}px`
    this.strip.hidden = !this.history.length
    const known = JSON.stringify(this.history)
    if (known === this.known) return
    const before = this.known
    this.known = known
    this.strip.replaceChildren(...this.history.map(({seed, image}) =>
      button(image ? make('img', {src: view(image), alt: '', loading: 'lazy', draggable: 'false'}) : '#', () => this.set(seed, 'fixed'),
        {class: 'imx-once', disabled: linked, title: t('seed {0}', seed), 'aria-label': t('Use seed {0}', seed)})))
    if (before !== undefined && node.graph && !app.configuringGraph) grow(node)
  }
}

/** Keeps the seeds of a run that has ended. The event may arrive before the server's history has the run. */
async function note(id) {
  for (let tries = 0; tries < TRIES; tries++) {
    const entry = (await (await app.api.fetchApi(`/history/${id}`)).json())[id]
    if (entry) {
      for (const {id: node, type, seed, image} of seedsOf(entry)) {
        const panel = panels.get(nodeOf(node))
        if (panel?.node.type !== type) continue
        panel.node.setProperty(HISTORY, remembered(panel.history, {seed, image}))
        panel.show()
      }
      return
    }
    await new Promise(done => setTimeout(done, 150))
  }
}

app.registerExtension({
  name: 'imagemixer.seeds',
  nodeCreated(node) {
    if (KINDS.includes(node.comfyClass)) panels.set(node, new Panel(node))
  },
  setup() {
    showOn(panels, 'graphChanged')
    app.api.addEventListener('execution_success', ({detail}) => note(detail.prompt_id).catch(() => {}))
  },
})
