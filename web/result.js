// Shows the sheet of the last run on Contact Sheet. A click on a cell sets its weights and its seed in the graph.

import {app} from '../../scripts/app.js'
import {addPanel, button, chain, changed, decider, grow, inputOf, make, origin, pictureSockets, put, t, view, widgetOf} from './lib/page.mjs'
import {format} from './lib/weights.mjs'

const KIND = 'ImageMixerSheet'
const OUTPUT = 'image_mixer_sheet'
const LOWEST = 40
const HIGHEST = 520
const MIX = 'ImageMixerMix'

const from = (node, name) => origin(node, inputOf(node, name))?.node

/** Removes the link of an input, if there is one. */
function cut(node, name) {
  const at = node.inputs.findIndex(input => input.name === name && input.link != null)
  if (at >= 0) node.disconnectInput(at)
}

/** Sets an input's value on the widget that sets it. A link that sets it is removed. */
function set(node, name, value) {
  if (!decider(node, name)) cut(node, name)
  put(decider(node, name), value)
}

/** Returns the nodes that the ingredients come from, in their order, each with its number of ingredients. */
function sources(mix) {
  const found = []
  for (let node = mix; node; node = from(node, 'mix')) {
    if (node.type !== MIX && !/^ImageMixerAdd/.test(node.type)) return null
    found.unshift({node, count: node.type === MIX ? pictureSockets(node).length : 1})
  }
  return found
}

/** Sets a cell's weights and seed in the graph that made it. Returns one line that says what was done. */
function take(sheet, {weights, seed}) {
  const engine = from(sheet, 'report') ?? from(sheet, 'images')
  const recipe = from(engine, 'recipe')
  const parts = recipe && sources(from(recipe, 'mix'))
  if (!parts || parts.reduce((sum, {count}) => sum + count, 0) !== weights.length)
    return t('These weights cannot be used: the nodes connected to this sheet are not those that made it, or contain batches.')
  let at = 0
  for (const {node, count} of parts) {
    const own = weights.slice(at, (at += count))
    if (node.type === MIX) {
      cut(node, 'weights')
      set(node, 'pad', format(own))
    } else set(node, 'weight', own[0])
  }
  if (seed != null) {
    const other = from(recipe, 'seed')
    const holder = other?.type === 'ImageMixerSeed' ? other : recipe
    set(holder, 'seed', seed)
    put(widgetOf(holder, 'seed').linkedWidgets?.[0], 'fixed')
  }
  set(recipe, 'samples', 1)
  changed()
  return t('Applied: {0} · seed {1}. Undo restores the old values.', format(weights), seed ?? '?')
}

class Sheet {
  constructor(node) {
    this.node = node
    this.ratio = 0
    this.frame = make('div', {class: 'imx-frame'})
    this.line = make('div', {class: 'imx-said', role: 'status'}, t('The sheet of the last run.'))
    this.element = make('div', {class: 'imx-panel imx-sheet'}, this.frame, this.line)
    addPanel(node, 'sheet', this.element, () => this.height + 20)
    const told = output => output?.[OUTPUT]?.[0] && this.show(output[OUTPUT][0])
    chain(node, 'onExecuted', told)
    chain(node, 'onAdded', () => queueMicrotask(() => told(app.nodeOutputs?.[node.id])))
    this.element.style.minHeight = `${this.height}px`
  }

  get height() {
    return Math.round(Math.min(HIGHEST, this.ratio * (this.node.size[0] - 40)) + LOWEST)
  }

  show(sheet) {
    const [width, height] = sheet.size
    this.ratio = height / width
    this.frame.style.aspectRatio = `${width} / ${height}`
    this.frame.style.maxWidth = `${HIGHEST / this.ratio}px`
    const part = (size, whole) => `${(100 * size) / whole}%`
    const cells = sheet.cells.map(({box: [x, y, w, h], weights, seed}, i) => {
      const name = t('Use this one: {0}', weights ? `${format(weights)} · seed ${seed ?? '?'}` : t('picture {0}', i + 1))
      const use = () => (this.line.textContent = take(this.node, {weights, seed}))
      const cell = button('', use, {class: 'imx-cell', disabled: !weights, title: name, 'aria-label': name})
      Object.assign(cell.style, {left: part(x, width), top: part(y, height), width: part(w, width), height: part(h, height)})
      return cell
    })
    this.frame.replaceChildren(make('img', {src: view(sheet, false), alt: t('The sheet of the last run.'), draggable: 'false'}), ...cells)
    if (sheet.cells.some(({weights}) => weights)) this.line.textContent = t('Click a picture to use its weights and seed.')
    this.element.style.minHeight = `${this.height}px`
    grow(this.node)
  }
}

app.registerExtension({
  name: 'imagemixer.result',
  nodeCreated(node) {
    if (node.comfyClass === KIND) new Sheet(node)
  },
})
