// Messages about runs: the step that the local engine is at, an error of one of the pack's nodes with a way to fix it, and
// on the remote node how many jobs a queue would pay for at most, and what is missing from the last run.

import {app} from '../../scripts/app.js'
import {asker} from './lib/estimate.mjs'
import {keyForm} from './lib/key.mjs'
import {button, chain, changed, decider, home, make, nodeOf, nodes, origin, keyOf, put, t} from './lib/page.mjs'

const REMOTE = 'ImageMixerRemote'
const TOAST_MS = 20000

/** Shows a message at the page's edge, with buttons ([text, action] each), until it is closed or some time has passed. */
function toast(title, line, cures) {
  const close = () => box.remove()
  const box = make('div', {class: 'imx-panel imx-toast', role: 'alert', popover: 'manual'},
    make('strong', {}, title), make('p', {}, line),
    make('div', {class: 'imx-foot'}, ...cures.map(([text, act]) => button(text, () => { close(); act() })), button(t('Close'), close)))
  document.querySelector('.imx-toast')?.remove()
  home().append(box)
  box.showPopover()
  setTimeout(close, TOAST_MS)
}

function openKeys() {
  const title = t('Key of the paid service')
  const dialog = make('dialog', {
    class: 'imx-panel imx-dialog', 'aria-label': title, onclose: () => dialog.remove(), onkeydown: event => event.stopPropagation(),
  }, make('strong', {}, title), keyForm(app), button(t('Close'), () => dialog.close()))
  home().append(dialog)
  dialog.showModal()
}

function goTo(node) {
  app.canvas.setGraph(node.graph)
  app.canvas.centerOnNode(node)
  app.canvas.selectItems([node])
}

/** Returns the loaders that a node's inputs come from, with the widgets of their files: {node, widget}. */
function loaders(node, seen = new Set()) {
  if (!node || seen.has(node)) return []
  seen.add(node)
  const widget = /Load/.test(node.type) && node.type !== 'LoadImage' && node.widgets?.find(one => Array.isArray(one.options?.values))
  const here = widget ? [{node, widget}] : []
  return [...here, ...(node.inputs ?? []).flatMap(input => loaders(origin(node, input)?.node, seen))]
}

/** Returns the buttons that can fix an error. */
function cures(node, line) {
  const counter = decider(node, 'pay_again')
  const {jobs} = lacks()[keyOf(node)] ?? {}
  if (counter && jobs && /pay_again/.test(line))
    return [[t(jobs === 1 ? 'Pay again: 1 job' : 'Pay again: {0} jobs', jobs), () => {
      put(counter, counter.value + 1)
      changed()
    }]]
  if (/no key for|refuses the key|check the key/i.test(line)) return [[t('Set the key…'), openKeys]]
  if (!/checkpoint|tower|not loaded by|clip/i.test(line)) return []
  return loaders(node).slice(0, 2).map(({node: loader, widget}) => {
    const right = loader.type === 'ImageMixerLoadCheckpoint' && widget.options.values.find(file => /image.?mixer/i.test(file) && file !== widget.value)
    return [right ? t('Use {0}', right) : t('Show {0}', loader.title), () => {
      if (right) put(widget, right)
      goTo(loader)
    }]
  })
}

function failed({detail: {node_type: type, node_id: id, exception_message: message}}) {
  if (!/^ImageMixer/.test(type)) return
  const node = nodeOf(id)
  const line = String(message ?? '')
  toast(node?.title ?? type, line, [...cures(node, line), ...(node ? [[t('Show the node'), () => goTo(node)]] : [])])
}

/** Shows the step that the local engine is at, which ComfyUI itself does not show. */
function stepped({detail: {node, value, max, prompt_id}}) {
  if (nodeOf(node)?.type === 'ImageMixerLocal' && max > 1)
    app.api.dispatchCustomEvent('progress_text', {nodeId: node, text: t('step {0} of {1}', value, max), prompt_id})
}

/** Vue watches the page's store: a badge is drawn again when a value that it read there changes. */
const store = () => app.extensionManager.$state

const told = new WeakMap()
let run = 0

/** Returns what is missing from the open workflow's last run, by the node's key: {run, missing, jobs}. */
function lacks() {
  const workflow = app.extensionManager.workflow.activeWorkflow ?? app
  return told.get(workflow) ?? told.set(workflow, {}).get(workflow)
}

/** Adds up what is missing: a node that runs once per item of a list sends one event per item. */
function missed({detail: {node, missing, jobs}}) {
  const key = keyOf(nodeOf(node))
  const before = lacks()[key]
  const sum = before?.run === run ? before : {missing: 0, jobs: 0}
  lacks()[key] = {run, missing: missing + sum.missing, jobs: jobs + sum.jobs}
  countSoon()
}

function said(key) {
  const counted = store().imageMixer?.jobs
  const count = counted?.get(key)
  const {missing, jobs} = lacks()[key] ?? {}
  return [
    counted && (count === undefined ? t('no paid job') : count == null ? t('paid jobs: not known in advance')
      : t(count === 1 ? 'at most 1 paid job' : 'at most {0} paid jobs', count)),
    missing && t('{0} missing', missing),
    jobs && t(jobs === 1 ? 'pay again: 1 job' : 'pay again: {0} jobs', jobs),
  ].filter(Boolean).join(' · ')
}

const countSoon = asker({
  read: async () => (nodes(({type}) => type === REMOTE).length ? (await app.graphToPrompt()).output : null),
  ask: body => app.api.fetchApi('/image_mixer/estimate', {method: 'POST', headers: {'Content-Type': 'application/json'}, body}),
  show: found => {
    store().imageMixer = {jobs: found && new Map([...found].map(([id, count]) => [keyOf(nodeOf(id)), count]))}
    app.graph.setDirtyCanvas(true, true)
  },
})

app.registerExtension({
  name: 'imagemixer.running',
  nodeCreated(node) {
    if (node.comfyClass !== REMOTE) return
    // After an undo, Vue still draws the badge of the removed node.
    let key
    node.badges?.push(() => {
      if (node.graph) key = keyOf(node)
      return new LGraphBadge({text: said(key)})
    })
    chain(node, 'onConnectionsChange', countSoon)
  },
  afterConfigureGraph: countSoon,
  setup() {
    const heard = {execution_start: () => run++, execution_error: failed, progress: stepped, graphChanged: countSoon, image_mixer_missing: missed}
    for (const [event, hear] of Object.entries(heard)) app.api.addEventListener(event, hear)
  },
})
