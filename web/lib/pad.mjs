// Draws the pad: pictures on a polygon, a puck between them, and a row of controls per picture. It has no state of its
// own: it shows a row, and calls back when the person asks for another. Nothing here uses ComfyUI.

import {attribute, button, make, t} from './page.mjs'
import {alone, corners, equal, normalisation, padded, parse, puckAt, rowAt, shares} from './weights.mjs'

const STEP = 0.04
const ROW = 26
const RADIUS = 30 // the polygon's radius, in percent of the stage's height
const HALF_LINE = 36 // half the line between two pictures, in percent of the stage's width

const stageFor = count => [0, 0, 76][count] ?? 190 + Math.max(0, count - 6) * 14

/** Returns the pad's height in pixels for a number of pictures. */
export const heightFor = count => stageFor(count) + Math.max(1, count) * ROW + 34

export class Pad {
  /** Calls `wish(row, done)` with the row that the person asks for; `done` is false during a drag. `lock(locked)` likewise. */
  constructor({wish, lock}) {
    this.wish = wish
    this.lock = lock
    this.row = []
    this.locked = []
    this.corners = []
    this.pictures = []
    this.controls = []
    this.reached = [0, 0]
    this.lines = make('polygon')
    this.puck = make('div', {
      class: 'imx-puck', role: 'slider', tabindex: 0, 'aria-valuemin': 0, 'aria-valuemax': 100,
      'aria-label': t('Puck: arrow keys move it, a digit key uses one picture alone, C gives equal shares'),
    })
    this.cornerBox = make('div')
    const polygon = make('svg', {viewBox: '-50 -50 100 100', 'aria-hidden': 'true'}, this.lines)
    this.stage = make('div', {class: 'imx-stage'}, polygon, this.cornerBox, this.puck)
    this.rows = make('div', {class: 'imx-rows'})
    this.scale = make('span', {class: 'imx-scale', title: t('How these weights are scaled. The puck sets the largest to 1. The share is shown beside each weight.')})
    this.even = button(t('equal shares'), () => this.wish(equal(this.row, this.locked), true))
    this.foot = make('div', {class: 'imx-foot'}, this.even, this.scale)
    this.note = make('div', {class: 'imx-note'})
    this.element = make('div', {class: 'imx-pad', role: 'group', 'aria-label': t('Weights of the pictures')}, this.stage, this.rows, this.foot, this.note)
    this.listen()
  }

  /** Shows pictures ({url, label} each), weights and locks, and a line (`note`) if the pad has no effect. */
  show({pictures, row, locked, note}) {
    const named = JSON.stringify(pictures)
    if (named !== this.named) {
      this.named = named
      this.pictures = pictures
      this.corners = corners(pictures.length)
      this.build()
    }
    this.locked = padded(locked ?? [], pictures.length).map(one => one === true)
    this.note.textContent = note
    this.element.toggleAttribute('inert', Boolean(note))
    this.move(row)
  }

  /** Shows another row for the same pictures. This is all the work in a frame of a drag. */
  move(row) {
    this.row = padded(row, this.pictures.length)
    const parts = shares(this.row)
    this.place(this.puck, puckAt(this.row, this.corners))
    const said = []
    this.controls.forEach(({range, number, share, lock, corner}, i) => {
      const weight = this.row[i]
      const low = Math.min(0, weight)
      const high = Math.max(1, weight)
      attribute(range, 'min', low)
      attribute(range, 'max', high)
      range.value = weight
      range.style.setProperty('--imx-fill', `${(100 * (weight - low)) / (high - low)}%`)
      if (!number.matches(':focus')) number.value = Number(weight.toPrecision(6))
      const percent = `${Math.round(100 * parts[i])} %`
      if (share.textContent !== percent) share.textContent = percent
      said.push(`${i + 1}: ${percent}`)
      attribute(lock, 'aria-pressed', this.locked[i])
      corner.style.setProperty('--imx-share', parts[i])
    })
    attribute(this.puck, 'aria-valuenow', Math.round(100 * (parts[parts.length === 2 ? 1 : 0] ?? 0)))
    attribute(this.puck, 'aria-valuetext', said.join(', '))
    const scale = t(normalisation(this.row))
    if (this.scale.textContent !== scale) this.scale.textContent = scale
  }

  build() {
    const count = this.pictures.length
    this.element.style.minHeight = `${heightFor(count)}px`
    this.stage.hidden = count < 2
    this.foot.hidden = count === 0
    this.stage.style.height = `${stageFor(count) - 8}px`
    this.lines.setAttribute('points', this.corners.map(corner => corner.map(x => x * RADIUS).join()).join(' '))
    this.stage.classList.toggle('imx-line', count === 2)
    this.controls = this.pictures.map(({url, label}, i) => {
      const name = t('picture {0}, {1}', i + 1, label)
      const face = () => (url ? make('img', {src: url, alt: '', draggable: 'false'}) : String(i + 1))
      // detail: 0 for a key, 2 for the second of two clicks.
      const corner = button(face(), event => event.detail !== 1 && this.alone(i), {
        class: 'imx-corner', title: t('{0}: double-click to use it alone', label), 'aria-label': t('{0} alone', name),
      })
      const range = make('input', {
        type: 'range', step: 0.01, 'aria-label': t('weight of {0}', name),
        oninput: () => this.set(i, Number(range.value), false), onchange: () => this.set(i, Number(range.value), true),
      })
      const number = make('input', {
        type: 'text', inputmode: 'decimal', class: 'imx-number', 'aria-label': t('exact weight of {0}', name),
        onchange: () => this.typed(i, number), onfocus: () => number.select(),
        onkeydown: event => event.key === 'Enter' && number.blur(),
      })
      const share = make('output', {class: 'imx-share'})
      const padlock = make('svg', {viewBox: '0 0 16 16', 'aria-hidden': 'true'},
        make('path', {class: 'imx-bow', d: 'M5 7V5a3 3 0 0 1 6 0v2'}), make('rect', {x: 3.5, y: 7, width: 9, height: 6.5, rx: 1.2}))
      const lock = button(padlock, () => this.lock(this.locked.map((one, k) => (k === i ? !one : one))), {
        class: 'imx-lock', 'aria-label': t('lock {0}', name), title: t('Lock: the puck does not change this weight'),
      })
      const line = make('div', {class: 'imx-row'}, make('span', {class: 'imx-face', title: label, 'aria-hidden': 'true'}, face()), range, number, share, lock)
      return {range, number, share, lock, corner, line}
    })
    this.cornerBox.replaceChildren(...this.controls.map(({corner}) => corner))
    this.rows.replaceChildren(...this.controls.map(({line}) => line))
    if (!count) this.rows.replaceChildren(make('div', {class: 'imx-empty'}, t('Connect pictures to mix them here.')))
    this.resized()
  }

  /** Returns the pixels from the middle of a stage of this size to the edges of the unit square; a polygon is as wide as high. */
  reach(width, height) {
    const down = (RADIUS / 100) * height
    return [this.corners.length === 2 ? (HALF_LINE / 100) * width : down, down]
  }

  /** Moves an element on the stage to a point of the unit square. */
  place(element, [x, y]) {
    element.style.left = `calc(50% + ${x * this.reached[0]}px)`
    element.style.top = `calc(50% + ${y * this.reached[1]}px)`
  }

  /** Moves everything after the stage was resized. The pictures are a little outside of their corners. */
  resized() {
    this.reached = this.reach(this.stage.offsetWidth, this.stage.offsetHeight)
    const out = this.corners.length === 2 ? 1.18 : 1.32
    this.controls.forEach(({corner}, i) => this.place(corner, this.corners[i].map(x => x * out)))
    this.move(this.row)
  }

  alone(index) {
    this.wish(alone(this.row, index, this.locked), true)
  }

  set(index, weight, done) {
    this.wish(this.row.map((old, i) => (i === index ? weight : old)), done)
  }

  typed(index, field) {
    const numbers = parse(field.value.replace(',', '.'))
    if (numbers?.length === 1) this.set(index, numbers[0], true)
    else field.value = this.row[index]
  }

  /** Returns the point of the unit square under a pointer, at any zoom: both numbers come from the screen. */
  pointOf(event) {
    const {left, top, width, height} = this.stage.getBoundingClientRect()
    const [across, down] = this.reach(width, height)
    return [(event.clientX - left - width / 2) / across, (event.clientY - top - height / 2) / down]
  }

  listen() {
    let latest = null
    const drag = () => {
      if (!latest) return
      const point = latest
      latest = null
      this.wish(rowAt(point, this.corners, this.row, this.locked), false)
    }
    this.stage.addEventListener('pointerdown', event => {
      if (event.button !== 0 || event.target.closest('.imx-corner')) return
      event.preventDefault()
      this.puck.focus({preventScroll: true})
      this.stage.setPointerCapture(event.pointerId)
      this.dragging = event.pointerId
      latest = this.pointOf(event)
      drag()
    })
    this.stage.addEventListener('pointermove', event => {
      if (event.pointerId !== this.dragging) return
      if (!latest) requestAnimationFrame(drag)
      latest = this.pointOf(event)
    })
    this.stage.addEventListener('lostpointercapture', event => {
      if (event.pointerId !== this.dragging) return
      this.dragging = undefined
      drag()
      this.wish(this.row, true)
    })
    this.puck.addEventListener('keydown', event => this.key(event))
    // The page's own shortcuts (R, digits, Delete, arrows) must not act while the pad has the focus; undo may.
    this.element.addEventListener('keydown', event => {
      if (!event.ctrlKey && !event.metaKey && event.key !== 'Escape') event.stopPropagation()
    })
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key]
    const count = this.pictures.length
    const single = /^\d$/.test(event.key) ? (Number(event.key) + 9) % 10 : {Home: 0, End: count - 1}[event.key]
    let row
    if (step) {
      const size = event.shiftKey ? STEP * 4 : STEP
      const [across, down] = count === 2 && step[1] ? [-step[1], 0] : step
      const [x, y] = puckAt(this.row, this.corners)
      row = rowAt([x + across * size, y + down * size], this.corners, this.row, this.locked)
    } else if (single < count) row = alone(this.row, single, this.locked)
    else if (/^c$/i.test(event.key)) row = equal(this.row, this.locked)
    if (!row) return
    event.preventDefault()
    this.wish(row, true)
  }
}
