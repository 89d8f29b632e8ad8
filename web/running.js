// What happens is said: progress in words on the local engine, a message with its cure when a node of ours fails, and
// on the paid engine how many jobs a queue would pay for at most, and what the last run lacks.

import {app} from '../../scripts/app.js'
import {asker} from './lib/estimate.mjs'
import {keyForm} from './lib/key.mjs'
import {button, chain, changed, decider, home, make, nodeOf, nodes, origin, placeOf, put, t} from './lib/page.mjs'

const REMOTE = 'ImageMixerRemote'
const TOAST_MS = 20000

/** A message at the page's edge, with buttons ([text, action] each), until it is closed or some time has gone. */
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

/** The loaders that a node's inputs come from, and their files: {node, widget}. */
function loaders(node, seen = new Set()) {
  if (!node || seen.has(node)) return []
  seen.add(node)
  const widget = /Load/.test(node.type) && node.type !== 'LoadImage' && node.widgets?.find(one => Array.isArray(one.options?.values))
  const here = widget ? [{node, widget}] : []
  return [...here, ...(node.inputs ?? []).flatMap(input => loaders(origin(node, input)?.node, seen))]
}

/** Buttons for the errors that one of them can cure. */
function cures(node, line) {
  const counter = decider(node, 'pay_again')
  const {jobs} = lacks()[placeOf(node)] ?? {}
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

/** The local engine samples in silence: the page says which step it is at. */
function stepped({detail: {node, value, max, prompt_id}}) {
  if (nodeOf(node)?.type === 'ImageMixerLocal' && max > 1)
    app.api.dispatchCustomEvent('progress_text', {nodeId: node, text: t('step {0} of {1}', value, max), prompt_id})
}

/** Vue watches the page's store: a badge is drawn again when what it read there changes. */
const store = () => app.extensionManager.$state

const told = new WeakMap()
let run = 0

/** What the open workflow lacks, by a node's place: {run, missing, jobs}. */
function lacks() {
  const workflow = app.extensionManager.workflow.activeWorkflow ?? app
  return told.get(workflow) ?? told.set(workflow, {}).get(workflow)
}

/** A node that runs for each item of a list tells of each. */
function missed({detail: {node, missing, jobs}}) {
  const place = placeOf(nodeOf(node))
  const before = lacks()[place]
  const sum = before?.run === run ? before : {missing: 0, jobs: 0}
  lacks()[place] = {run, missing: missing + sum.missing, jobs: jobs + sum.jobs}
  countSoon()
}

function said(place) {
  const counted = store().imageMixer?.jobs
  const count = counted?.get(place)
  const {missing, jobs} = lacks()[place] ?? {}
  return [
    counted && (count === undefined ? t('no paid job') : count == null ? t('paid jobs: unknown beforehand')
      : t(count === 1 ? 'at most 1 paid job' : 'at most {0} paid jobs', count)),
    missing && t('{0} missing', missing),
    jobs && t(jobs === 1 ? 'pay again: 1 job' : 'pay again: {0} jobs', jobs),
  ].filter(Boolean).join(' · ')
}

const countSoon = asker({
  read: async () => (nodes(({type}) => type === REMOTE).length ? (await app.graphToPrompt()).output : null),
  ask: body => app.api.fetchApi('/image_mixer/estimate', {method: 'POST', headers: {'Content-Type': 'application/json'}, body}),
  show: found => {
    store().imageMixer = {jobs: found && new Map([...found].map(([id, count]) => [placeOf(nodeOf(id)), count]))}
    app.graph.setDirtyCanvas(true, true)
  },
})

app.registerExtension({
  name: 'imagemixer.running',
  nodeCreated(node) {
    if (node.comfyClass !== REMOTE) return
    // After an undo Vue still asks the badge of the node that is gone.
    let place
    node.badges?.push(() => {
      if (node.graph) place = placeOf(node)
      return new LGraphBadge({text: said(place)})
    })
    chain(node, 'onConnectionsChange', countSoon)
  },
  afterConfigureGraph: countSoon,
  setup() {
    const heard = {execution_start: () => run++, execution_error: failed, progress: stepped, graphChanged: countSoon, image_mixer_missing: missed}
    for (const [event, hear] of Object.entries(heard)) app.api.addEventListener(event, hear)
  },
})
