// The pad of Image Mix: its value is one text, one number per socket. Weights follow their pictures when links change.

import {app} from '../../scripts/app.js'
import {heightFor, Pad} from './lib/pad.mjs'
import {addElement, chain, changed, decider, grow, heldIn, inputOf, isPicture, picture, pictureSockets, put, showOn, t} from './lib/page.mjs'
import {followed, format, padded, parse} from './lib/weights.mjs'

const TYPE = 'IMAGE_MIXER_PAD'
const LOCKS = 'image_mixer_locked'

/** What each socket's picture is known by. */
const keysOf = node => pictureSockets(node).map(({link}) => {
  const {origin_id: id, origin_slot: slot} = node.graph.getLink(link) ?? {}
  return `${id}:${slot}`
})

class Value {
  constructor(node, name) {
    this.node = node
    this.own = ''
    this.keys = []
    this.swapping = false
    this.pad = new Pad({
      wish: (row, done) => this.wish(row, done),
      lock: locked => {
        node.setProperty(LOCKS, locked.some(Boolean) ? locked : undefined)
        this.show()
        changed()
      },
    })
    new ResizeObserver(() => this.pad.resized()).observe(this.pad.stage)
    this.widget = addElement(node, name, TYPE, this.pad.element, {
      getValue: () => this.own,
      setValue: text => {
        this.own = typeof text === 'string' ? text : ''
        this.draft = null
        this.show()
      },
      getMinHeight: () => heightFor(this.pad.pictures.length) + 4,
    })
    // The page would hide it where linked; it tells of that itself.
    for (const hidden of ['computedDisabled', 'connectionSuppressed']) Object.defineProperty(this.widget, hidden, {get: () => false, set() {}})
    chain(node, 'onConnectInput', () => {
      // A link put on a used socket first takes the old one off: one change, not two.
      this.swapping = true
      requestAnimationFrame(() => (this.swapping = false))
    })
    chain(node, 'onConnectionsChange', (kind, slot, connected) => this.linked(slot, connected))
    chain(node, 'onConfigure', () => queueMicrotask(() => this.settle()))
    this.show()
  }

  /** The widget with the numbers: this one, or what it was promoted to. */
  get holder() {
    return decider(this.node, this.widget.name) ?? this.widget
  }

  get text() {
    return this.holder.value
  }

  set text(text) {
    put(this.holder, text)
  }

  /** The row that is shown: the numbers of the text, and 1 for each missing one. */
  get row() {
    return padded(this.draft ?? parse(this.text) ?? [], pictureSockets(this.node).length)
  }

  /** While a drag goes on, the value stays: undo would else stop half-way, where the page looked. */
  wish(row, done) {
    this.draft = done ? null : row
    this.pad.move(row)
    if (done) {
      this.text = format(row)
      this.show()
      changed()
    }
  }

  linked(slot, connected) {
    const input = this.node.inputs?.[slot]
    if (app.configuringGraph || !this.node.graph || (input && !isPicture(input.name))) return this.show()
    if (!connected && this.swapping) return
    this.follow()
    queueMicrotask(() => this.settle())
  }

  /** Moves each weight with its picture. A text without numbers stays so: all are 1. */
  follow() {
    const row = parse(this.text)
    const keys = keysOf(this.node)
    if (row?.length) this.text = format(followed(row, this.keys, keys))
    this.keys = keys
    this.show()
  }

  /** Once all links are there: forgets the numbers after the last socket, which the server would refuse. */
  settle() {
    if (!this.node.graph || app.configuringGraph) return
    const row = parse(this.text)
    this.keys = keysOf(this.node)
    const count = this.keys.length
    if (count && row?.length > count) this.text = format(row.slice(0, count))
    this.show()
  }

  show() {
    const {node} = this
    if (!node.graph) return
    const pictures = pictureSockets(node).map(input => picture(node, input))
    const linked = ['weights', 'pad'].find(name => inputOf(node, name)?.link != null && !decider(node, name))
    const note = linked ? t('The connected input {0} sets the weights.', linked)
      : parse(this.text) ? '' : t('The weights cannot be read: {0}', this.text)
    this.pad.show({pictures, row: this.row, locked: node.properties[LOCKS], note})
    if (this.count === pictures.length) return
    this.count = pictures.length
    // While a graph loads, Autogrow lays one socket more for a moment and the page grows the node to hold it. With that
    // room there from the start, loading (and so undo) changes nothing, and redo stays possible.
    if (!app.configuringGraph) grow(node, LiteGraph.NODE_SLOT_HEIGHT)
  }
}

const values = new WeakMap()

app.registerExtension({
  name: 'imagemixer.pad',
  getCustomWidgets: () => ({
    [TYPE](node, name) {
      const value = new Value(node, name)
      values.set(node, value)
      return {widget: value.widget, minWidth: 260, minHeight: 120}
    },
  }),
  afterConfigureGraph: () => heldIn(values).forEach(value => value.settle()),
  setup: () => showOn(values, 'graphChanged', 'executed'),
})
