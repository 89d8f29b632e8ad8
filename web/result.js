// The sheet of the last run on Contact Sheet: a click on a cell takes its weights and its seed into the graph.

import {app} from '../../scripts/app.js'
import {addPanel, chain, changed, dress, grow, make, origin, t, view} from './lib/page.mjs'
import {format} from './lib/weights.mjs'

const KIND = 'ImageMixerSheet'
const OUTPUT = 'image_mixer_sheet'
const LOWEST = 40
const HIGHEST = 520
const MIX = 'ImageMixerMix'
const SOCKET = /^images\.image\d+$/

const input = (node, name) => node?.inputs?.find(one => one.name === name)
const widget = (node, name) => node?.widgets?.find(one => one.name === name)
const from = (node, name) => origin(app, node, input(node, name))?.node

function put(node, name, value) {
  const found = widget(node, name)
  found.value = value
  found.callback?.(value)
}

/** The nodes that the ingredients come from, first ingredient first, each with how many it has. */
function sources(mix) {
  const found = []
  for (let node = mix; node; node = from(node, 'mix')) {
    if (node.type !== MIX && !/^ImageMixerAdd/.test(node.type)) return null
    found.unshift({node, count: node.type === MIX ? node.inputs.filter(one => SOCKET.test(one.name) && one.link != null).length : 1})
  }
  return found
}

/** Takes a cell's weights and seed into the graph that made it; gives one line on what was done. */
function take(sheet, {weights, seed}) {
  const engine = from(sheet, 'report') ?? from(sheet, 'images')
  const recipe = from(engine, 'recipe')
  const parts = recipe && sources(from(recipe, 'mix'))
  if (!parts || parts.reduce((sum, {count}) => sum + count, 0) !== weights.length)
    return t('These weights cannot be taken: the graph behind this sheet is not the one that made it, or holds batches.')
  let at = 0
  for (const {node, count} of parts) {
    const own = weights.slice(at, at + count)
    at += count
    if (node.type !== MIX) {
      put(node, 'weight', own[0])
      continue
    }
    const linked = node.inputs.findIndex(one => one.name === 'weights' && one.link != null)
    if (linked >= 0) node.disconnectInput(linked)
    put(node, 'pad', format(own))
  }
  if (seed != null) {
    const other = from(recipe, 'seed')
    if (other && other.type !== 'ImageMixerSeed') recipe.disconnectInput(recipe.inputs.indexOf(input(recipe, 'seed')))
    const holder = other?.type === 'ImageMixerSeed' ? other : recipe
    put(holder, 'seed', seed)
    const control = widget(holder, 'seed').linkedWidgets?.[0]
    if (control) control.value = 'fixed'
  }
  put(recipe, 'samples', 1)
  changed(app)
  return t('Taken: {0} · seed {1}. Undo brings the old ones back.', format(weights), seed ?? '?')
}

class Sheet {
  constructor(node) {
    this.node = node
    this.ratio = 0
    this.frame = make('div', {class: 'imx-frame'})
    this.line = make('div', {class: 'imx-said', role: 'status'}, t('The sheet of the last run.'))
    this.element = make('div', {class: 'imx-panel imx-sheet'}, this.frame, this.line)
    addPanel(app, node, 'sheet', this.element, () => this.height + 20)
    chain(node, 'onExecuted', output => output?.[OUTPUT]?.[0] && this.show(output[OUTPUT][0]))
    chain(node, 'onAdded', () => queueMicrotask(() => {
      const old = app.nodeOutputs?.[node.id]?.[OUTPUT]?.[0]
      if (old) this.show(old)
    }))
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
      const name = weights ? `${format(weights)} · seed ${seed ?? '?'}` : t('picture {0}', i + 1)
      const cell = make('button', {
        type: 'button', class: 'imx-cell', disabled: !weights, title: t('Use this one: {0}', name), 'aria-label': t('Use this one: {0}', name),
        onclick: () => (this.line.textContent = take(this.node, {weights, seed})),
      })
      Object.assign(cell.style, {left: part(x, width), top: part(y, height), width: part(w, width), height: part(h, height)})
      return cell
    })
    this.frame.replaceChildren(make('img', {src: view(app, sheet, false), alt: t('The sheet of the last run.'), draggable: 'false'}), ...cells)
    if (sheet.cells.some(({weights}) => weights)) this.line.textContent = t('Click a picture to take its weights and seed.')
    this.element.style.minHeight = `${this.height}px`
    grow(this.node)
  }
}

app.registerExtension({
  name: 'imagemixer.result',
  init: dress,
  nodeCreated(node) {
    if ((node.comfyClass ?? node.type) === KIND) new Sheet(node)
  },
})
