// The pad's looks: pictures on a polygon, a puck among them, and a row of controls for each. It holds no truth: it is
// shown a state and tells of wishes. Nothing here knows ComfyUI.

import {attribute, make, t} from './page.mjs'
import {alone, corners, equal, normalisation, padded, puckAt, rowAt, shares, within} from './weights.mjs'

const STEP = 0.04
const ROW = 26
const STAGE = {0: 0, 1: 0, 2: 76}
const RADIUS = 30 // of the polygon, in percent of the stage's height
const DOUBLE_MS = 400

/** How high the pad is for a number of pictures, in pixels. */
export const heightFor = count => (STAGE[count] ?? 190 + Math.max(0, count - 6) * 14) + Math.max(1, count) * ROW + 34

export class Pad {
  /** `wish(row, done)`: the row that the person asks for; `done` is false while a drag goes on. `lock(locked)` likewise. */
  constructor({wish, lock}) {
    this.wish = wish
    this.lock = lock
    this.row = []
    this.locked = []
    this.places = []
    this.pictures = []
    this.lines = make('polygon')
    this.svg = make('svg', {viewBox: '-50 -50 100 100', 'aria-hidden': 'true'}, this.lines)
    this.puck = make('div', {class: 'imx-puck', role: 'slider', tabindex: 0, 'aria-valuemin': 0, 'aria-valuemax': 100})
    this.cornerBox = make('div')
    this.stage = make('div', {class: 'imx-stage'}, this.svg, this.cornerBox, this.puck)
    this.rows = make('div', {class: 'imx-rows'})
    this.scale = make('span', {class: 'imx-scale'})
    this.even = make('button', {type: 'button', class: 'imx-button', onclick: () => this.ask(equal(this.row, this.locked))})
    this.foot = make('div', {class: 'imx-foot'}, this.even, this.scale)
    this.note = make('div', {class: 'imx-note'})
    this.element = make('div', {class: 'imx-pad', role: 'group'}, this.stage, this.rows, this.foot, this.note)
    this.listen()
  }

  /** Shows pictures ({url, label} each), their weights, locks, and a line where the pad does not count (`note`). */
  show({pictures, row, locked, note}) {
    const named = JSON.stringify(pictures)
    if (named !== this.named) {
      this.named = named
      this.pictures = pictures
      this.places = corners(pictures.length)
      this.build()
    }
    this.locked = padded(locked ?? [], pictures.length).map(one => one === true)
    this.note.textContent = note ?? ''
    this.element.toggleAttribute('inert', Boolean(note))
    this.element.classList.toggle('imx-off', Boolean(note))
    this.move(row)
  }

  /** Shows another row of the same pictures: all that happens in a frame of a drag. */
  move(row) {
    this.row = padded(row, this.pictures.length)
    const parts = shares(this.row)
    const [x, y] = puckAt(this.row, this.places)
    const {cx, cy} = this.onStage([x, y])
    this.puck.style.left = `${cx}%`
    this.puck.style.top = `${cy}%`
    const said = []
    this.controls.forEach(({range, number, share, lock, corner}, i) => {
      const weight = this.row[i]
      const low = Math.min(0, weight)
      const high = Math.max(1, weight)
      attribute(range, 'min', low)
      attribute(range, 'max', high)
      range.value = weight
      range.style.setProperty('--imx-fill', `${(100 * (weight - low)) / (high - low)}%`)
      if (number !== document.activeElement || !number.matches(':focus')) number.value = Number(weight.toPrecision(6))
      const percent = `${Math.round(100 * parts[i])} %`
      if (share.textContent !== percent) share.textContent = percent
      said.push(`${i + 1}: ${percent}`)
      attribute(lock, 'aria-pressed', this.locked[i])
      if (corner) corner.style.setProperty('--imx-share', parts[i])
    })
    attribute(this.puck, 'aria-valuenow', Math.round(100 * (parts[parts.length === 2 ? 1 : 0] ?? 0)))
    attribute(this.puck, 'aria-valuetext', said.join(', '))
    const scale = t(normalisation(this.row))
    if (this.scale.textContent !== scale) this.scale.textContent = scale
  }

  build() {
    const count = this.pictures.length
    const name = i => t('picture {0}, {1}', i + 1, this.pictures[i].label)
    this.element.style.minHeight = `${heightFor(count)}px`
    this.element.setAttribute('aria-label', t('Weights of the pictures'))
    this.puck.setAttribute('aria-label', t('Puck: arrows move it, digits take one picture alone, C is equal shares'))
    this.even.textContent = t('equal shares')
    this.scale.title = t('How these weights are scaled. The puck makes the largest 1; shares stand beside each weight.')
    this.stage.hidden = count < 2
    this.foot.hidden = count === 0
    this.stage.style.height = `${(STAGE[count] ?? 190 + Math.max(0, count - 6) * 14) - 8}px`
    this.lines.setAttribute('points', this.places.map(place => place.map(x => x * RADIUS).join()).join(' '))
    this.svg.toggleAttribute('hidden', count < 3)
    this.stage.classList.toggle('imx-line', count === 2)
    this.controls = this.pictures.map((one, i) => {
      const face = () => (one.url ? make('img', {src: one.url, alt: '', draggable: 'false'}) : String(i + 1))
      const corner = count > 1 && make('button', {
        type: 'button', class: 'imx-corner', title: t('{0}: double-click takes it alone', one.label),
        'aria-label': t('{0} alone', name(i)),
        onclick: event => event.detail === 0 && this.ask(alone(this.row, i, this.locked)),
      }, face())
      if (corner) {
        const {cx, cy} = this.onStage(this.places[i], count === 2 ? 1.18 : 1.32)
        corner.style.left = `${cx}%`
        corner.style.top = `${cy}%`
        corner.dataset.index = i
      }
      const range = make('input', {
        type: 'range', step: 0.01, 'aria-label': t('weight of {0}', name(i)),
        oninput: () => this.set(i, Number(range.value), false), onchange: () => this.set(i, Number(range.value), true),
      })
      const number = make('input', {
        type: 'text', inputmode: 'decimal', class: 'imx-number', 'aria-label': t('exact weight of {0}', name(i)),
        onchange: () => this.typed(i, number), onfocus: () => number.select(),
        onkeydown: event => event.key === 'Enter' && number.blur(),
      })
      const share = make('output', {class: 'imx-share'})
      const lock = make('button', {
        type: 'button', class: 'imx-lock', 'aria-label': t('lock {0}', name(i)), title: t('Lock: the puck leaves this weight alone'),
        onclick: () => this.lock(this.locked.map((one, k) => (k === i ? !one : one))),
      }, make('svg', {viewBox: '0 0 16 16', 'aria-hidden': 'true'},
        make('path', {class: 'imx-bow', d: 'M5 7V5a3 3 0 0 1 6 0v2'}), make('rect', {x: 3.5, y: 7, width: 9, height: 6.5, rx: 1.2})))
      const line = make('div', {class: 'imx-row'}, make('span', {class: 'imx-face', title: one.label, 'aria-hidden': 'true'}, face()), range, number, share, lock)
      return {range, number, share, lock, corner, line}
    })
    this.cornerBox.replaceChildren(...this.controls.map(({corner}) => corner).filter(Boolean))
    this.rows.replaceChildren(...this.controls.map(({line}) => line))
    if (!count) this.rows.replaceChildren(make('div', {class: 'imx-empty'}, t('Connect pictures to mix them here.')))
  }

  /** A place of the unit square on the stage, in percent; `out` pushes it away from the middle. */
  onStage([x, y], out = 1) {
    const across = this.places.length === 2 ? 36 : (RADIUS * this.ratio())
    return {cx: 50 + x * out * across, cy: 50 + y * out * RADIUS}
  }

  /** A polygon is as wide as it is high; its width in percent depends on the stage's. */
  ratio() {
    const {offsetWidth: width, offsetHeight: height} = this.stage
    return width && height ? height / width : 0.8
  }

  /** Places all anew after the stage has got another width. */
  resized() {
    if (!this.controls) return
    this.controls.forEach(({corner}, i) => {
      if (!corner) return
      const {cx, cy} = this.onStage(this.places[i], this.places.length === 2 ? 1.18 : 1.32)
      corner.style.left = `${cx}%`
      corner.style.top = `${cy}%`
    })
    this.move(this.row)
  }

  ask(row, done = true) {
    this.wish(row, done)
  }

  set(index, weight, done) {
    this.ask(this.row.map((old, i) => (i === index ? weight : old)), done)
  }

  typed(index, field) {
    const weight = Number(field.value.trim().replace(',', '.'))
    if (field.value.trim() && Number.isFinite(weight)) this.set(index, weight, true)
    else field.value = this.row[index]
  }

  /** The place under a pointer, at any zoom: both numbers come from the screen. */
  placeOf(event) {
    const box = this.stage.getBoundingClientRect()
    const across = this.places.length === 2 ? 0.36 * box.width : (RADIUS / 100) * box.height
    return [(event.clientX - box.left - box.width / 2) / across, (event.clientY - box.top - box.height / 2) / ((RADIUS / 100) * box.height)]
  }

  listen() {
    let latest = null
    let last = {index: -1, at: 0}
    const drag = () => {
      if (!latest) return
      const place = latest
      latest = null
      this.ask(rowAt(place, this.places, this.row, this.locked), false)
    }
    this.stage.addEventListener('pointerdown', event => {
      if (event.button !== 0) return
      const corner = event.target.closest('.imx-corner')
      if (corner) {
        const index = Number(corner.dataset.index)
        const double = last.index === index && event.timeStamp - last.at < DOUBLE_MS
        last = {index, at: double ? 0 : event.timeStamp}
        if (double) this.ask(alone(this.row, index, this.locked))
        return
      }
      event.preventDefault()
      this.puck.focus({preventScroll: true})
      this.stage.setPointerCapture(event.pointerId)
      this.dragging = event.pointerId
      latest = this.placeOf(event)
      drag()
    })
    this.stage.addEventListener('pointermove', event => {
      if (event.pointerId !== this.dragging) return
      if (!latest) requestAnimationFrame(drag)
      latest = this.placeOf(event)
    })
    for (const kind of ['pointerup', 'pointercancel'])
      this.stage.addEventListener(kind, event => {
        if (event.pointerId !== this.dragging) return
        this.dragging = undefined
        drag()
        this.ask(this.row)
      })
    this.puck.addEventListener('keydown', event => this.key(event))
    // The page's own shortcuts (R, digits, Delete, arrows) are not meant for the pad's controls; undo is.
    this.element.addEventListener('keydown', event => {
      if (!event.ctrlKey && !event.metaKey && event.key !== 'Escape') event.stopPropagation()
    })
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key]
    const count = this.pictures.length
    let row
    if (step) {
      const size = event.shiftKey ? STEP * 4 : STEP
      const two = count === 2 && step[1] ? [-step[1], 0] : step
      const [x, y] = puckAt(this.row, this.places)
      row = rowAt(within([x + two[0] * size, y + two[1] * size], this.places), this.places, this.row, this.locked)
    } else if (/^\d$/.test(event.key)) {
      const index = (Number(event.key) + 9) % 10
      if (index < count) row = alone(this.row, index, this.locked)
    } else if (event.key === 'c' || event.key === 'C') row = equal(this.row, this.locked)
    else if (event.key === 'Home' || event.key === 'End') row = alone(this.row, event.key === 'Home' ? 0 : count - 1, this.locked)
    if (!row) return
    event.preventDefault()
    this.ask(row)
  }
}
