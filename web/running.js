// What happens is said: progress in words on the local engine, a message with its cure when a node of ours fails, and
// on the paid engine how many jobs a queue would pay for at most.

import {app} from '../../scripts/app.js'
import {paidJobs, REMOTE} from './lib/estimate.mjs'
import {keyForm} from './lib/key.mjs'
import {button, chain, home, make, nodeOf, nodes, origin, put, t} from './lib/page.mjs'

const ENGINE = 'ImageMixerLocal'
const TOAST_MS = 20000

/** A message at the page's edge, with buttons ([text, action] each), until it is closed or some time has gone. */
function toast(title, line, cures) {
  const close = () => box.remove()
  const box = make('div', {class: 'imx-panel imx-toast', role: 'alert', popover: 'manual'},
    make('strong', {}, title), make('p', {}, line),
    make('div', {class: 'imx-foot'}, ...cures.map(([text, act]) => button(text, () => { close(); act() })), button(t('Close'), close)))
  for (const old of document.querySelectorAll('.imx-toast')) old.remove()
  home(app).append(box)
  box.showPopover()
  setTimeout(close, TOAST_MS)
}

function openKeys() {
  const title = t('Key of the paid service')
  const dialog = make('dialog', {class: 'imx-panel imx-dialog', 'aria-label': title, onclose: () => dialog.remove()},
    make('strong', {}, title), keyForm(app), button(t('Close'), () => dialog.close()))
  dialog.addEventListener('keydown', event => event.stopPropagation())
  home(app).append(dialog)
  dialog.showModal()
}

function goTo(node) {
  app.canvas.setGraph(node.graph)
  app.canvas.centerOnNode(node)
  app.canvas.selectItems([node])
}

/** The loaders that a node's inputs come from, and their files: {node, widget}. */
function loaders(node, seen = new Set()) {
  if (!node || seen.has(node)) return []
  seen.add(node)
  const widget = /Load/.test(node.type) && node.type !== 'LoadImage' && node.widgets?.find(one => Array.isArray(one.options?.values))
  const here = widget ? [{node, widget}] : []
  return [...here, ...(node.inputs ?? []).flatMap(input => loaders(origin(app, node, input)?.node, seen))]
}

/** Buttons for the errors that one of them can cure. */
function cures(node, line) {
  if (/no key for|refuses the key|check the key/i.test(line)) return [[t('Set the key…'), openKeys]]
  if (!node || !/checkpoint|tower|not loaded by|clip/i.test(line)) return []
  return loaders(node).slice(0, 2).map(({node: loader, widget}) => {
    const right = loader.type === 'ImageMixerLoadCheckpoint' && widget.options.values.find(file => /image.?mixer/i.test(file) && file !== widget.value)
    return [right ? t('Use {0}', right) : t('Show {0}', loader.title), () => {
      if (right) put(widget, right)
      goTo(loader)
    }]
  })
}

function failed({detail}) {
  if (!String(detail.node_type).startsWith('ImageMixer')) return
  const node = nodeOf(app, detail.node_id)
  const line = String(detail.exception_message ?? '').trim()
  toast(node?.title ?? detail.node_type, line, [...cures(node, line), ...(node ? [[t('Show the node'), () => goTo(node)]] : [])])
}

/** The local engine samples in silence: the page says which step it is at. */
function stepped({detail}) {
  const node = nodeOf(app, detail.node)
  if (node?.type === ENGINE && detail.max > 1)
    app.api.dispatchCustomEvent('progress_text', {nodeId: detail.node, text: t('step {0} of {1}', detail.value, detail.max), prompt_id: detail.prompt_id})
}

const jobs = new Map()
const info = type => LiteGraph.registered_node_types[type]?.nodeData

async function reckon() {
  if (!nodes(app, ({type}) => type === REMOTE).length) return
  const found = paidJobs((await app.graphToPrompt()).output, info)
  jobs.clear()
  for (const [id, count] of found) jobs.set(nodeOf(app, id), count)
  app.graph.setDirtyCanvas(true, true)
}

let waiting
const reckonSoon = () => {
  clearTimeout(waiting)
  waiting = setTimeout(() => reckon().catch(() => jobs.clear()), 150)
}

app.registerExtension({
  name: 'imagemixer.running',
  nodeCreated(node) {
    if (node.comfyClass !== REMOTE) return
    const badge = () => {
      const count = jobs.get(node)
      const text = count === undefined ? t('no paid job') : count == null ? t('paid jobs: unknown beforehand')
        : t(count === 1 ? 'at most 1 paid job' : 'at most {0} paid jobs', count)
      return new LGraphBadge({text})
    }
    node.badges?.push(badge)
    chain(node, 'onConnectionsChange', reckonSoon)
  },
  afterConfigureGraph: reckonSoon,
  setup() {
    app.api.addEventListener('execution_error', failed)
    app.api.addEventListener('progress', stepped)
    app.api.addEventListener('graphChanged', reckonSoon)
  },
})
