// What the extension scripts share of ComfyUI's page: texts, styles, elements, graph, pictures. `app` is handed in, so
// that tests can import this without the page.

/** An element with attributes, listeners (`onclick`) and children. */
export function make(tag, attributes = {}, ...children) {
  const svg = ['svg', 'path', 'polygon', 'polyline', 'circle', 'line', 'rect'].includes(tag)
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (value !== false && value != null) element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

/** Sets an attribute only where it changes: the page need not lay out again. */
export function attribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

let words = {}
const English = text => text

/** `text` in the page's language, with {0}, {1}… filled in. English is the key; see locales/<lang>/main.json. */
export function t(text, ...values) {
  return (words[text] ?? English(text)).replace(/\{(\d)\}/g, (_, i) => values[i])
}

/** Fetches the texts of the page's language, once; English needs none. */
export function learn(app) {
  learning ??= (async () => {
    const language = app.ui?.settings?.getSettingValue('Comfy.Locale') ?? 'en'
    if (language === 'en') return
    const all = await (await app.api.fetchApi('/i18n')).json()
    words = all[language]?.imageMixer ?? {}
  })().catch(() => {})
  return learning
}
let learning

/** Loads the pack's style sheet, once, beside the canvas: every selector in it begins with imx-. */
export function dress(app) {
  const home = app.canvas.canvas.parentElement, href = new URL('../style.css', import.meta.url).href
  if (!home.querySelector(`link[href="${href}"]`)) home.append(make('link', {rel: 'stylesheet', href}))
}

/** Lets the page see a change by hand, so that undo and the unsaved mark know of it. */
export function changed(app) {
  app.graph?.setDirtyCanvas?.(true, true)
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

/** Every graph of the workflow: the root's, then those of its subgraphs. */
export function graphs(app) {
  const root = app.rootGraph ?? app.graph
  return [root, ...(root?.subgraphs?.values() ?? [])]
}

/** Every node of the workflow in any graph that `accept` takes. */
export const nodes = (app, accept) => graphs(app).flatMap(graph => (graph?.nodes ?? []).filter(accept))

/** The node of a run by its id: "7", or "12:7" within subgraph node 12. */
export function nodeOf(app, id) {
  let graph = app.rootGraph ?? app.graph
  let node = null
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part)
    graph = node?.subgraph
  }
  return node ?? null
}

export const linkOf = (graph, id) => (id == null ? null : (graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? graph?.links?.[id] ?? null))

/**
 * Where a node's input comes from: {node, slot}, through reroutes, subgraph inputs and outputs; null where nothing is
 * connected.
 */
export function origin(app, node, input) {
  let graph = node.graph
  let link = linkOf(graph, input?.link)
  for (let depth = 0; link && depth < 50; depth++) {
    if (Number(link.origin_id) === -10) {
      const host = nodes(app, other => other.subgraph === graph)[0]
      if (!host) return null
      graph = host.graph
      link = linkOf(graph, host.inputs[link.origin_slot]?.link)
      continue
    }
    const from = graph.getNodeById(link.origin_id)
    if (!from) return null
    if (from.subgraph) {
      const inner = from.subgraph.outputs?.[link.origin_slot]?.linkIds?.[0]
      graph = from.subgraph
      link = linkOf(graph, inner)
      continue
    }
    if (from.type !== 'Reroute') return {node: from, slot: link.origin_slot}
    link = linkOf(graph, from.inputs?.[0]?.link)
  }
  return null
}

/** The address of a picture of the server, small where `small`. */
export function view(app, {filename, subfolder = '', type = 'output'}, small = true) {
  const query = new URLSearchParams({filename, subfolder, type, ...(small ? {preview: 'webp;60'} : {})})
  return app.api.apiURL(`/view?${query}`)
}

/** What a picture's origin shows: {url, label}; no url where it has made none yet. */
export function picture(app, from) {
  const label = from.node.outputs?.[from.slot]?.label ?? from.node.title ?? from.node.type
  if (/^LoadImage/.test(from.node.type)) {
    const value = from.node.widgets?.find(widget => widget.name === 'image')?.value
    const [, folder, filename, type] = /^(?:(.*)\/)?([^/]*?)(?: \[(\w+)\])?$/.exec(String(value ?? '')) ?? []
    if (filename) return {url: view(app, {filename, subfolder: folder ?? '', type: type ?? 'input'}), label: filename}
  }
  const outputs = app.nodeOutputs ?? {}
  const graph = from.node.graph
  const made = (outputs[from.node.id] ?? outputs[`${graph?.id}:${from.node.id}`])?.images?.[0]
  return {url: made ? view(app, made) : null, label}
}

/**
 * Adds an element to a node that is no value of it: not saved and not in the prompt. It must be the node's last widget:
 * front end 1.47 leaves a hole in the saved values where such a widget stands. `height()` is asked in classic mode.
 */
export function addPanel(app, node, name, element, height) {
  passOn(app, element)
  keepShown(node, element, name)
  const widget = node.addDOMWidget(name, `image_mixer_${name}`, element, {
    serialize: false, getMinHeight: height, getValue: () => '', setValue: () => {}, hideOnZoom: false,
  })
  widget.serialize = false
  return widget
}

/** Makes a node at least as high as it must be. */
export function grow(node) {
  const wanted = node.computeSize()
  if (wanted[1] > node.size[1]) node.setSize([node.size[0], wanted[1]])
}

/** Passes wheel and middle button on to the classic canvas, which a widget of HTML would keep them from. */
export function passOn(app, element) {
  const classic = () => !globalThis.LiteGraph?.vueNodesMode
  element.addEventListener('wheel', event => {
    const scrolls = event.target.closest?.('[data-scrolls]')
    if (classic() && !(scrolls && scrolls.scrollHeight > scrolls.clientHeight)) {
      event.preventDefault()
      app.canvas.processMouseWheel(event)
    }
  }, {passive: false})
  for (const [kind, method] of [['pointerdown', 'processMouseDown'], ['pointermove', 'processMouseMove'], ['pointerup', 'processMouseUp']])
    element.addEventListener(kind, event => {
      if (classic() && (event.button === 1 || event.buttons & 4)) app.canvas[method](event)
    })
}

/**
 * Keeps a widget's element on the screen in Vue mode. A graph that is loaded over another (undo, another workflow) gives
 * its nodes the same ids; the page then keeps its components, and with them the elements of widgets that are gone.
 */
export function keepShown(node, element, name) {
  element.dataset.imx = name
  const look = () => {
    if (!globalThis.LiteGraph?.vueNodesMode || element.isConnected || !node.graph) return
    const stale = document.querySelector(`[data-node-id="${node.id}"] [data-imx="${name}"]`)
    if (stale && stale !== element) stale.replaceWith(element)
  }
  chain(node, 'onAdded', () => [0, 60, 250].forEach(wait => setTimeout(() => requestAnimationFrame(look), wait)))
}
