// What the extension scripts share of ComfyUI's page: texts, styles, elements, graph, pictures. `dress` gets `app` as an
// argument, so that tests can import this file without the page.

/** Creates an element with attributes, listeners (`onclick`) and children. */
export function make(tag, attributes = {}, ...children) {
  const svg = ['svg', 'path', 'polygon', 'circle', 'rect'].includes(tag)
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (value !== false && value != null) element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

/** Creates a button in the pack's style, with further attributes. */
export const button = (text, onclick, attributes = {}) => make('button', {type: 'button', class: 'imx-button', onclick, ...attributes}, text)

/** Sets an attribute only if it changes, so that the page does not lay out again. */
export function attribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

let app
let words = {}

/** Returns `text` in the page's language, with {0}, {1}… filled in. The English text is the key; see locales/<lang>/main.json. */
export function t(text, ...values) {
  return (words[text] ?? text).replace(/\{(\d)\}/g, (_, i) => values[i])
}

/** Returns the parent of style sheet, messages and dialogs: beside the canvas, so that the page's own document is unchanged. */
export const home = () => app.canvas.canvas.parentElement

/** Loads the style sheet and the texts. Every selector of the style sheet begins with imx-. */
export async function dress(page) {
  app = page
  home().append(make('link', {rel: 'stylesheet', href: new URL('../style.css', import.meta.url).href}))
  const language = app.ui.settings.getSettingValue('Comfy.Locale') ?? 'en'
  if (language === 'en') return
  const all = await app.api.fetchApi('/i18n').then(reply => reply.json()).catch(() => ({}))
  words = all[language]?.imageMixer ?? {}
}

/** Records a change that the person made, for undo and the mark of unsaved changes. */
export function changed() {
  app.graph.setDirtyCanvas(true, true)
  app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.captureCanvasState?.()
}

/** Makes a method of an object, if any, call `after` afterwards. */
export function chain(object, name, after) {
  const before = object[name]
  object[name] = function (...given) {
    const result = before?.apply(this, given)
    after.apply(this, given)
    return result
  }
}

/** Returns every node of the workflow, in the root graph or a subgraph, for which `accept` is true. */
export function nodes(accept) {
  const root = app.rootGraph
  return [root, ...root.subgraphs.values()].flatMap(graph => graph.nodes.filter(accept))
}

/** Returns the values that a map by node has for the nodes of the workflow. */
export const heldIn = map => nodes(node => map.has(node)).map(node => map.get(node))

/** Calls `show` of the map's values at these events of the page, for the nodes that are in the workflow. */
export const showOn = (map, ...events) =>
  events.forEach(event => app.api.addEventListener(event, () => heldIn(map).forEach(one => one.show())))

/** Returns a node by its id in a prompt: "7", or "12:7" within subgraph node 12. */
export function nodeOf(id) {
  let graph = app.rootGraph
  let node = null
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part)
    graph = node?.subgraph
  }
  return node
}

/** Returns a key for a node that stays the same after an undo: "7", or the subgraph's id and the node's own. */
export const keyOf = node => (node?.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : `${node?.id}`)

export const inputOf = (node, name) => node?.inputs?.find(input => input.name === name)
export const widgetOf = (node, name) => node?.widgets?.find(widget => widget.name === name)

/** Returns the sockets of an Image Mix with a picture. Autogrow briefly shows one link on two sockets while it closes a gap. */
export function pictureSockets(node) {
  const seen = new Set()
  return (node.inputs ?? []).filter(({name, link}) => isPicture(name) && link != null && !seen.has(link) && seen.add(link))
}
export const isPicture = name => /^images\.image\d+$/.test(name)

/** Sets a widget's value, if there is a widget, as a person would. */
export function put(widget, value) {
  if (!widget) return
  widget.value = value
  widget.callback?.(value)
}

/** Returns the subgraph node whose input a link inside the subgraph comes from, if it comes from one. */
const hostOf = (graph, link) => (Number(link?.origin_id) === -10 ? nodes(node => node.subgraph === graph)[0] : null)

/**
 * Returns where a node's input comes from as {node, slot}, through reroutes, subgraph inputs and outputs; null if nothing
 * is connected.
 */
export function origin(node, input, depth = 0) {
  const link = node?.graph?.getLink(input?.link)
  if (!link || depth > 50) return null
  const {origin_id: id, origin_slot: slot} = link
  const host = hostOf(node.graph, link)
  if (host) return origin(host, host.inputs[slot], depth + 1)
  const from = node.graph.getNodeById(id)
  const graph = from?.subgraph
  if (graph) return origin({graph}, {link: graph.outputs?.[slot]?.linkIds?.[0]}, depth + 1)
  if (from?.type === 'Reroute') return origin(from, from.inputs?.[0], depth + 1)
  return from ? {node: from, slot} : null
}

/**
 * Returns the widget that sets an input: the node's own, or the one on the subgraph node that the input was promoted to;
 * nothing if a link sets it.
 */
export function decider(node, name) {
  const input = inputOf(node, name)
  if (input?.link == null) return widgetOf(node, name)
  const link = node.graph?.getLink(input.link)
  const host = hostOf(node.graph, link)
  return host && decider(host, host.inputs[link.origin_slot].name)
}

/** Returns the address of a picture on the server; a small preview if `small`. */
export function view({filename, subfolder = '', type = 'output'}, small = true) {
  const query = new URLSearchParams({filename, subfolder, type, ...(small ? {preview: 'webp;60'} : {})})
  return app.api.apiURL(`/view?${query}`)
}

/** Returns the picture at a node's input as {url, label}; no url if its origin has not made one yet. */
export function picture(node, input) {
  const from = origin(node, input)
  if (!from) return {url: null, label: input.name}
  const label = from.node.outputs?.[from.slot]?.label ?? from.node.title ?? from.node.type
  if (/^LoadImage/.test(from.node.type)) {
    const value = widgetOf(from.node, 'image')?.value
    const [, subfolder, filename, type = 'input'] = /^(?:(.*)\/)?([^/]*?)(?: \[(\w+)\])?$/.exec(String(value ?? '')) ?? []
    if (filename) return {url: view({filename, subfolder, type}), label: filename}
  }
  const made = app.nodeOutputs?.[keyOf(from.node)]?.images?.[0]
  return {url: made && view(made), label}
}

/** Adds an element to a node as a widget of a type. `options` are those of the page's addDOMWidget. */
export function addElement(node, name, type, element, options) {
  passOn(element)
  keepShown(node, element, name)
  return node.addDOMWidget(name, type, element, {hideOnZoom: false, ...options})
}

/**
 * Adds an element to a node that is not a value: it is not saved and not in the prompt. It must be the node's last widget,
 * since front end 1.47 leaves a gap in the saved values for it. `height()` is only used in classic mode.
 */
export function addPanel(node, name, element, height) {
  const options = {serialize: false, getMinHeight: height, getValue: () => '', setValue: () => {}}
  addElement(node, name, `image_mixer_${name}`, element, options).serialize = false
}

/** Makes a node at least as large as it must be, plus `more` pixels of height. A larger node keeps its size. */
export function grow(node, more = 0) {
  const wanted = [...node.computeSize()].map((least, axis) => Math.max(node.size[axis], least + axis * more))
  if (wanted.some((length, axis) => length > node.size[axis])) node.setSize(wanted)
}

/** Calls `show` after events that may change a node's inputs or widgets, and after a person changed a widget. */
export function follow(node, show) {
  for (const moment of ['onConfigure', 'onAdded', 'onConnectionsChange']) chain(node, moment, () => queueMicrotask(show))
  for (const widget of node.widgets) chain(widget, 'callback', show)
}

const classic = () => !LiteGraph.vueNodesMode

/** Passes wheel and middle button on to the classic canvas, which an HTML widget would swallow. */
function passOn(element) {
  element.addEventListener('wheel', event => {
    const scrolls = event.target.closest?.('[data-scrolls]')
    if (classic() && !(scrolls && scrolls.scrollHeight > scrolls.clientHeight)) {
      event.preventDefault()
      app.canvas.processMouseWheel(event)
    }
  }, {passive: false})
  for (const move of ['Down', 'Move', 'Up'])
    element.addEventListener(`pointer${move.toLowerCase()}`, event => {
      if (classic() && (event.button === 1 || event.buttons & 4)) app.canvas[`processMouse${move}`](event)
    })
}

/**
 * Keeps a widget's element on the screen in Vue mode. If a graph is loaded over another (undo, another workflow), its nodes
 * have the same ids. The page then reuses its components, with the elements of the old widgets.
 */
function keepShown(node, element, name) {
  element.dataset.imx = name
  const look = () => {
    if (classic() || element.isConnected || !node.graph) return
    document.querySelector(`[data-node-id="${node.id}"] [data-imx="${name}"]`)?.replaceWith(element)
  }
  chain(node, 'onAdded', () => [0, 60, 250].forEach(wait => setTimeout(() => requestAnimationFrame(look), wait)))
}
