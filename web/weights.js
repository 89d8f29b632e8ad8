// Blend Weights and Sweep Weights draw their variants: a column each with a part for every ingredient, or a dot each in
// a triangle where there are three.

import {app} from '../../scripts/app.js'
import {addPanel, decider, follow, inputOf, make, origin, showOn, t} from './lib/page.mjs'
import {blend, corners, format, parse, puckAt, shares, sweep} from './lib/weights.mjs'

const KINDS = ['ImageMixerBlendWeights', 'ImageMixerSweepWeights']
const MOST = 200 // columns; more could not be told apart
const HEIGHT = 96

/** A widget's number or text; undefined if a link decides and its origin is not a plain number. */
function valueOf(node, name) {
  const own = decider(node, name)
  if (own) return own.value
  const from = origin(node, inputOf(node, name))?.node
  return /^Primitive/.test(from?.type) ? from.widgets?.[0]?.value : undefined
}

function rowsOf(node) {
  const given = node.type === KINDS[0] ? ['from', 'to', 'variants', 'easing'] : ['ingredients', 'pattern', 'variants', 'seed']
  const values = given.map(name => valueOf(node, name))
  if (values.includes(undefined)) return undefined
  const [a, b, variants, last] = values
  return node.type === KINDS[0] ? blend(parse(a), parse(b), variants, last) : sweep(a, b, variants, last)
}

function columns(rows) {
  const shown = rows.length <= MOST ? rows : Array.from({length: MOST}, (_, i) => rows[Math.round((i * (rows.length - 1)) / (MOST - 1))])
  const width = 100 / shown.length
  const parts = shown.flatMap((row, x) => {
    let y = 0
    return shares(row).map((share, i) => {
      const part = make('rect', {x: x * width, y: y * 40, width: width * (shown.length > 60 ? 1.02 : 0.9), height: share * 40})
      part.style.setProperty('--imx-place', i / Math.max(1, row.length - 1))
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
    return make('circle', {cx, cy, r: rows.length > 100 ? 0.8 : 1.5})
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
    follow(node, () => this.show())
    addPanel(node, 'drawing', this.element, () => HEIGHT + 20)
    this.show()
  }

  show() {
    const rows = this.node.graph ? rowsOf(this.node) : null
    const known = JSON.stringify(rows)
    if (known === this.known && rows) return
    this.known = known
    if (!rows) {
      this.picture.replaceChildren()
      this.line.textContent = rows === undefined ? t('A connected input decides.') : t('These weights do not fit together.')
      return
    }
    this.picture.replaceChildren(rows[0].length === 3 ? triangle(rows) : columns(rows))
    this.line.textContent = t('{0} variants of {1} weights', rows.length, rows[0].length)
    this.element.title = t('From {0} to {1}', format(rows[0]), format(rows.at(-1)))
    this.picture.setAttribute('aria-label', this.element.title)
  }
}

app.registerExtension({
  name: 'imagemixer.weights',
  nodeCreated(node) {
    if (KINDS.includes(node.comfyClass)) drawings.set(node, new Drawing(node))
  },
  setup: () => showOn(drawings, 'graphChanged'),
})
