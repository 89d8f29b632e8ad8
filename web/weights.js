// Blend Weights and Sweep Weights draw their variants: a column each with a part for every ingredient, or a dot each in
// a triangle where there are three.

import {app} from '../../scripts/app.js'
import {addPanel, chain, dress, linkOf, make, nodes, t} from './lib/page.mjs'
import {blend, corners, format, parse, puckAt, shares, sweep} from './lib/weights.mjs'

const KINDS = ['ImageMixerBlendWeights', 'ImageMixerSweepWeights']
const MOST = 200 // columns; more could not be told apart
const HEIGHT = 96

/** A widget's number or text; undefined where a link decides and its origin is no plain number. */
function valueOf(node, name) {
  const input = node.inputs?.find(one => one.name === name)
  const link = linkOf(node.graph, input?.link)
  if (!link) return node.widgets.find(widget => widget.name === name)?.value
  const from = node.graph.getNodeById(link.origin_id)
  return /^Primitive/.test(from?.type ?? '') ? from.widgets?.[0]?.value : undefined
}

function rowsOf(node) {
  const value = name => valueOf(node, name)
  const given = node.type === KINDS[0] ? ['from', 'to', 'variants', 'easing'] : ['ingredients', 'pattern', 'variants', 'seed']
  const values = given.map(value)
  if (values.includes(undefined)) return undefined
  const [a, b, variants, last] = values
  return node.type === KINDS[0] ? blend(parse(a), parse(b), variants, last) : sweep(a, b, variants, last)
}

const colour = (i, count) =>
  `color-mix(in srgb, var(--p-primary-color, #4a9) ${count > 1 ? Math.round(100 - (85 * i) / (count - 1)) : 100}%, var(--input-text, #ddd))`

function columns(rows) {
  const shown = rows.length <= MOST ? rows : Array.from({length: MOST}, (_, i) => rows[Math.round((i * (rows.length - 1)) / (MOST - 1))])
  const width = 100 / shown.length
  const parts = shown.flatMap((row, x) => {
    let y = 0
    return shares(row).map((share, i) => {
      const part = make('rect', {x: x * width, y: y * 40, width: width * (shown.length > 60 ? 1.02 : 0.9), height: share * 40})
      part.style.fill = colour(i, row.length)
      y += share
      return part
    })
  })
  return make('svg', {viewBox: '0 0 100 40', preserveAspectRatio: 'none', 'aria-hidden': 'true'}, ...parts)
}

function triangle(rows) {
  const places = corners(3)
  const at = ([x, y]) => [50 + x * 24, 26 + y * 24]
  const dots = rows.slice(0, 4096).map(row => {
    const [cx, cy] = at(puckAt(row, places))
    const dot = make('circle', {cx, cy, r: rows.length > 100 ? 0.8 : 1.5})
    dot.style.fill = 'var(--p-primary-color, #4a9)'
    return dot
  })
  const edge = make('polygon', {points: places.map(place => at(place).join()).join(' '), class: 'imx-edge'})
  return make('svg', {viewBox: '0 0 100 40', 'aria-hidden': 'true'}, edge, ...dots)
}

const drawings = new WeakMap()

class Drawing {
  constructor(node) {
    this.node = node
    this.picture = make('div', {class: 'imx-drawn', role: 'img'})
    this.line = make('div', {class: 'imx-scale'})
    this.element = make('div', {class: 'imx-panel imx-drawing'}, this.picture, this.line)
    this.element.style.minHeight = `${HEIGHT}px`
    const widget = addPanel(app, node, 'drawing', this.element, () => HEIGHT + 20)
    for (const other of node.widgets) if (other !== widget) chain(other, 'callback', () => this.draw())
    chain(node, 'onConnectionsChange', () => queueMicrotask(() => this.draw()))
    for (const moment of ['onConfigure', 'onAdded']) chain(node, moment, () => queueMicrotask(() => this.draw()))
    this.draw()
  }

  draw() {
    const rows = this.node.graph ? rowsOf(this.node) : null
    const known = JSON.stringify(rows ?? null)
    if (known === this.known && rows) return
    this.known = known
    if (!rows?.length) {
      this.picture.replaceChildren()
      this.line.textContent = rows === undefined ? t('A connected input decides.') : t('These weights do not fit together.')
      return
    }
    this.picture.replaceChildren(rows[0].length === 3 ? triangle(rows) : columns(rows))
    this.line.textContent = t('{0} variants of {1} weights', rows.length, rows[0].length)
    this.picture.setAttribute('aria-label', t('From {0} to {1}', format(rows[0]), format(rows.at(-1))))
    this.element.title = this.picture.getAttribute('aria-label')
  }
}

app.registerExtension({
  name: 'imagemixer.weights',
  init: dress,
  nodeCreated(node) {
    const kind = node.comfyClass ?? node.type
    if (KINDS.includes(kind)) drawings.set(node, new Drawing(node))
  },
  setup() {
    app.api.addEventListener('graphChanged', () => {
      for (const node of nodes(app, ({type}) => KINDS.includes(type))) drawings.get(node)?.draw()
    })
  },
})
