// What the extension scripts share of ComfyUI's page: texts, styles, elements, graph, pictures. `dress` is handed
// `app`, so that tests can import this without the page.

/** An element with attributes, listeners (`onclick`) and children. */
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

/** A button of the pack's look, with further attributes. */
export const button = (text, onclick, attributes = {}) => make('button', {type: 'button', class: 'imx-button', onclick, ...attributes}, text)

/** Sets an attribute only where it changes: the page need not lay out again. */
export function attribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

let app
let words = {}

/** `text` in the page's language, with {0}, {1}… filled in. English is the key; see locales/<lang>/main.json. */
export function t(text, ...values) {
  return (words[text] ?? text).replace(/\{(\d)\}/g, (_, i) => values[i])
}

/** Where style sheet, messages and dialogs stand: beside the canvas, so that the page's own document stays as it is. */
export const home = () => app.canvas.canvas.parentElement

/** Brings the pack's looks and words to the page. Every selector of the style sheet begins with imx-. */
export async function dress(page) {
  app = page
  home().append(make('link', {rel: 'stylesheet', href: new URL('../style.css', import.meta.url).href}))
  const language = app.ui.settings.getSettingValue('Comfy.Locale') ?? 'en'
  if (language === 'en') return
  const all = await app.api.fetchApi('/i18n').then(reply => reply.json()).catch(() => ({}))
  words = all[language]?.imageMixer ?? {}
}

/** Lets the page see a change by hand, so that undo and the unsaved mark know of it. */
export function changed() {
  app.graph.setDirtyCanvas(true, true)
  app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.captureCanvasState?.()
}

/** Calls `after` behind a method of an object, whatever it was. */
export function chain(object, name, after) {
  const before = object[name]
  object[name] = function (...given) {
    const result = before?.apply(this, given)
    after.apply(this, given)
    return result
  }
}

/** Every node of the workflow, in the root graph or a subgraph, that `accept` takes. */
export function nodes(accept) {
  const root = app.rootGraph
  return [root, ...root.subgraphs.values()].flatMap(graph => graph.nodes.filter(accept))
}

/** What a map by node holds for the nodes of the workflow. */
export const heldIn = map => nodes(node => map.has(node)).map(node => map.get(node))

/** Shows anew what a map holds for the nodes of the workflow, at events of the page. */
export const showOn = (map, ...events) =>
  events.forEach(event => app.api.addEventListener(event, () => heldIn(map).forEach(one => one.show())))

/** The node of a run by its id: "7", or "12:7" within subgraph node 12. */
export function nodeOf(id) {
  let graph = app.rootGraph
  let node = null
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part)
    graph = node?.subgraph
  }
  return node
}

/** What a node and those that an undo puts in its place are known by: "7", or the subgraph's id and its own. */
export const placeOf = node => (node?.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : `${node?.id}`)

export const inputOf = (node, name) => node?.inputs?.find(input => input.name === name)
export const widgetOf = (node, name) => node?.widgets?.find(widget => widget.name === name)

/** The sockets of an Image Mix with a picture; Autogrow shows one link on two of them for a moment while it closes a gap. */
export function pictureSockets(node) {
  const seen = new Set()
  return (node.inputs ?? []).filter(({name, link}) => isPicture(name) && link != null && !seen.has(link) && seen.add(link))
}
export const isPicture = name => /^images\.image\d+$/.test(name)

/** Gives a widget, if any, a value as a person would. */
export function put(widget, value) {
  if (!widget) return
  widget.value = value
  widget.callback?.(value)
}

/** The subgraph's node whose input a link of its graph stands for, if it does. */
const hostOf = (graph, link) => (Number(link?.origin_id) === -10 ? nodes(node => node.subgraph === graph)[0] : null)

/**
 * Where a node's input comes from: {node, slot}, through reroutes, subgraph inputs and outputs; null where nothing is
 * connected.
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
 * The widget that decides an input: the node's own, or the one of a subgraph's node that the input was promoted to;
 * nothing where a link decides.
 */
export function decider(node, name) {
  const input = inputOf(node, name)
  if (input?.link == null) return widgetOf(node, name)
  const link = node.graph?.getLink(input.link)
  const host = hostOf(node.graph, link)
  return host && decider(host, host.inputs[link.origin_slot].name)
}

/** The address of a picture of the server, small where `small`. */
export function view({filename, subfolder = '', type = 'output'}, small = true) {
  const query = new URLSearchParams({filename, subfolder, type, ...(small ? {preview: 'webp;60'} : {})})
  return app.api.apiURL(`/view?${query}`)
}

/** What a picture at a node's input shows: {url, label}; no url where its origin has made none yet. */
export function picture(node, input) {
  const from = origin(node, input)
  if (!from) return {url: null, label: input.name}
  const label = from.node.outputs?.[from.slot]?.label ?? from.node.title ?? from.node.type
  if (/^LoadImage/.test(from.node.type)) {
    const value = widgetOf(from.node, 'image')?.value
    const [, subfolder, filename, type = 'input'] = /^(?:(.*)\/)?([^/]*?)(?: \[(\w+)\])?$/.exec(String(value ?? '')) ?? []
    if (filename) return {url: view({filename, subfolder, type}), label: filename}
  }
  const made = app.nodeOutputs?.[placeOf(from.node)]?.images?.[0]
  return {url: made && view(made), label}
}

/** Adds an element to a node as a widget of a type. `options` are those of the page's own addDOMWidget. */
export function addElement(node, name, type, element, options) {
  passOn(element)
  keepShown(node, element, name)
  return node.addDOMWidget(name, type, element, {hideOnZoom: false, ...options})
}

/**
 * Adds an element to a node that is not a value of it: it is neither saved nor part of the prompt. It must be the node's last widget:
 * front end 1.47 leaves a hole in the saved values where such a widget stands. `height()` is asked in classic mode.
 */
export function addPanel(node, name, element, height) {
  const options = {serialize: false, getMinHeight: height, getValue: () => '', setValue: () => {}}
  addElement(node, name, `image_mixer_${name}`, element, options).serialize = false
}

/** Makes a node at least as large as it must be, `more` pixels higher; one that the person made larger stays so. */
export function grow(node, more = 0) {
  const wanted = [...node.computeSize()].map((least, axis) => Math.max(node.size[axis], least + axis * more))
  if (wanted.some((length, axis) => length > node.size[axis])) node.setSize(wanted)
}

/** Calls `show` after what may change a node's inputs or widgets, and after a widget was changed by hand. */
export function follow(node, show) {
  for (const moment of ['onConfigure', 'onAdded', 'onConnectionsChange']) chain(node, moment, () => queueMicrotask(show))
  for (const widget of node.widgets) chain(widget, 'callback', show)
}

const classic = () => !LiteGraph.vueNodesMode

/** Passes wheel and middle button on to the classic canvas, which a widget of HTML would keep them from. */
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
 * Keeps a widget's element on the screen in Vue mode. A graph that is loaded over another (undo, another workflow) gives
 * its nodes the same ids; the page then keeps its components, and with them the elements of widgets that are gone.
 */
function keepShown(node, element, name) {
  element.dataset.imx = name
  const look = () => {
    if (classic() || element.isConnected || !node.graph) return
    document.querySelector(`[data-node-id="${node.id}"] [data-imx="${name}"]`)?.replaceWith(element)
  }
  chain(node, 'onAdded', () => [0, 60, 250].forEach(wait => setTimeout(() => requestAnimationFrame(look), wait)))
}
