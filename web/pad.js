// The pad of Image Mix: its value is one text, a number a socket. Weights follow their pictures when links change.

import {app} from '../../scripts/app.js'
import {heightFor, Pad} from './lib/pad.mjs'
import {chain, changed, dress, keepShown, learn, linkOf, nodes, origin, passOn, picture, t} from './lib/page.mjs'
import {followed, format, padded, parse} from './lib/weights.mjs'

const TYPE = 'IMAGE_MIXER_PAD'
const SOCKET = /^images\.image\d+$/
const LOCKS = 'image_mixer_locked'

/** The connected sockets in order; Autogrow shows one link on two sockets for a moment while it closes a gap. */
function sockets(node) {
  const seen = new Set()
  return (node.inputs ?? []).filter(input => SOCKET.test(input.name) && input.link != null && !seen.has(input.link) && seen.add(input.link))
}

const keyOf = (node, input) => {
  const link = linkOf(node.graph, input.link)
  return link ? `${link.origin_id}:${link.origin_slot}` : ''
}

class Value {
  constructor(node, name) {
    this.node = node
    this.text = ''
    this.keys = null
    this.swapping = false
    this.pad = new Pad({
      wish: (row, done) => this.wish(row, done),
      lock: locked => {
        node.setProperty?.(LOCKS, locked.some(Boolean) ? locked : undefined)
        this.show()
        changed(app)
      },
    })
    passOn(app, this.pad.element)
    new ResizeObserver(() => this.pad.resized()).observe(this.pad.stage)
    this.widget = node.addDOMWidget(name, TYPE, this.pad.element, {
      getValue: () => this.text,
      setValue: text => {
        this.text = typeof text === 'string' ? text : ''
        this.draft = null
        this.show()
      },
      getMinHeight: () => heightFor(this.pad.pictures.length) + 4,
      hideOnZoom: false,
    })
    keepShown(node, this.pad.element, 'pad')
    this.widget.serializeValue = () => this.text
    chain(node, 'onConnectInput', () => {
      // A link put on a used socket first takes the old one off: one change, not two.
      this.swapping = true
      requestAnimationFrame(() => (this.swapping = false))
    })
    chain(node, 'onConnectionsChange', (kind, slot, connected) => this.linked(slot, connected))
    chain(node, 'onConfigure', () => queueMicrotask(() => this.settle()))
    this.show()
  }

  /** The row shown: numbers of the text, 1 where one is missing. */
  get row() {
    return padded(this.draft ?? parse(this.text) ?? [], sockets(this.node).length)
  }

  /** While a drag goes on, the value stays: undo would else stop half-way, where the page looked. */
  wish(row, done) {
    this.draft = done ? null : row
    this.pad.move(row)
    if (done) {
      this.text = format(row)
      this.widget.callback?.(this.text)
      this.show()
      changed(app)
    }
  }

  linked(slot, connected) {
    const input = this.node.inputs?.[slot]
    if (app.configuringGraph || !this.node.graph || (input && !SOCKET.test(input.name))) return this.show()
    if (!connected && this.swapping) return
    this.follow()
    queueMicrotask(() => this.settle())
  }

  /** Moves each weight with its picture. A text without numbers stays so: all are 1. */
  follow() {
    const row = parse(this.text)
    const keys = sockets(this.node).map(input => keyOf(this.node, input))
    if (row?.length) this.text = format(followed(row, this.keys ?? [], keys))
    this.keys = keys
    this.show()
  }

  /** When all links are there: forgets the numbers behind them, which the server would refuse. */
  settle() {
    if (!this.node.graph || app.configuringGraph) return
    const inputs = sockets(this.node)
    const row = parse(this.text)
    this.keys = inputs.map(input => keyOf(this.node, input))
    if (inputs.length && row && row.length > inputs.length) this.text = format(row.slice(0, inputs.length))
    this.show()
  }

  show() {
    const {node} = this
    if (!node.graph) return
    const inputs = sockets(node)
    const pictures = inputs.map(input => {
      const from = origin(app, node, input)
      return from ? picture(app, from) : {url: null, label: input.name}
    })
    const before = this.pad.pictures.length
    const linked = ['weights', 'pad'].find(name => node.inputs.some(input => input.name === name && input.link != null))
    const note = linked ? t('The connected input {0} sets the weights.', linked)
      : parse(this.text) ? '' : t('The weights cannot be read: {0}', this.text)
    this.pad.show({pictures, row: this.row, locked: node.properties?.[LOCKS], note})
    if (pictures.length !== before || this.height === undefined) this.fit()
  }

  /** Makes room for the rows; a node that the person made larger stays so. */
  fit() {
    const {node} = this
    const wanted = node.computeSize()
    // While a graph loads, Autogrow lays one socket more for a moment and the page grows the node to hold it. With that
    // room there from the start, loading (and so undo) changes nothing, and redo stays possible.
    wanted[1] += globalThis.LiteGraph.NODE_SLOT_HEIGHT
    this.height = wanted[1]
    if (app.configuringGraph) return
    const grown = [Math.max(node.size[0], wanted[0]), Math.max(node.size[1], wanted[1])]
    if (grown[0] !== node.size[0] || grown[1] !== node.size[1]) node.setSize(grown)
  }
}

const values = new WeakMap()
const refresh = () => {
  for (const node of nodes(app, ({type}) => type === 'ImageMixerMix')) values.get(node)?.show()
}

app.registerExtension({
  name: 'imagemixer.pad',
  async init() {
    dress(app)
    await learn(app)
  },
  getCustomWidgets: () => ({
    [TYPE](node, name) {
      const value = new Value(node, name)
      values.set(node, value)
      return {widget: value.widget, minWidth: 260, minHeight: 120}
    },
  }),
  loadedGraphNode: node => values.get(node)?.settle(),
  afterConfigureGraph() {
    for (const node of nodes(app, ({type}) => type === 'ImageMixerMix')) values.get(node)?.settle()
  },
  setup() {
    for (const kind of ['graphChanged', 'executed']) app.api.addEventListener(kind, refresh)
  },
})
