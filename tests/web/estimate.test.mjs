import assert from 'node:assert/strict'
import test from 'node:test'
import {asker, question} from '../../web/lib/estimate.mjs'

const node = (inputs, class_type = 'ImageMixerRecipe') => ({class_type, inputs, _meta: {title: 'x'}})
const nodes = [{node: '7', images: 10, paid: true}, {node: '8', images: 3, paid: false}, {node: '2:9', images: null, paid: true}]
const good = (answer = {nodes}) => ({ok: true, json: async () => answer})
const wait = ms => new Promise(done => setTimeout(done, ms))

/** An asker of a graph that a test changes, with what it asked and what it showed. */
function scene(answer = () => good()) {
  const made = {prompt: {1: node({samples: 1})}, asked: [], shown: []}
  made.soon = asker({
    read: async () => made.prompt,
    ask: async text => (made.asked.push(text), answer()),
    show: jobs => made.shown.push(jobs && [...jobs]),
    pause: 5,
  })
  made.settled = async () => (made.soon(), wait(40))
  return made
}

test('a question holds classes and inputs, without long texts and titles', () => {
  const prompt = {1: node({samples: 2, seed: ['4', 0], prompt: 'x'.repeat(101), name: 'x'.repeat(100)})}
  assert.deepEqual(JSON.parse(question(prompt)), {
    prompt: {1: {class_type: 'ImageMixerRecipe', inputs: {samples: 2, seed: ['4', 0], prompt: '', name: 'x'.repeat(100)}}},
  })
})

test('each paid node has its own number', async () => {
  const made = scene()
  await made.settled()
  assert.deepEqual(made.shown, [[['7', 10], ['2:9', null]]])
})

test('many changes at once ask one question, and the same prompt none', async () => {
  const made = scene()
  for (let i = 0; i < 20; i++) made.soon()
  await made.settled()
  await made.settled()
  assert.equal(made.asked.length, 1)
  assert.deepEqual(made.shown[1], made.shown[0])
  made.prompt = {1: node({samples: 2})}
  await made.settled()
  assert.equal(made.asked.length, 2)
})

test('one question at a time, and the newest prompt is asked last', async () => {
  const waiting = []
  const made = scene(() => new Promise(answered => waiting.push(answered)))
  await made.settled()
  for (const samples of [2, 3]) {
    made.prompt = {1: node({samples})}
    await made.settled()
  }
  assert.equal(made.asked.length, 1)
  waiting[0](good())
  await wait(40)
  assert.equal(made.asked.length, 2)
  assert.equal(JSON.parse(made.asked[1]).prompt[1].inputs.samples, 3)
  waiting[1](good({nodes: []}))
  await wait(10)
  assert.deepEqual(made.shown.at(-1), [])
})

test('nothing to count asks nothing', async () => {
  const made = scene()
  made.prompt = undefined
  await made.settled()
  assert.deepEqual([made.asked, made.shown], [[], []])
})

test('an older server shows nothing', async () => {
  const made = scene(() => ({ok: false}))
  await made.settled()
  assert.deepEqual(made.shown, [null])
})

test('a server that does not answer leaves the last numbers, and is asked again', async () => {
  const answers = [() => good(), () => Promise.reject(new Error('gone')), () => good({nodes: []})]
  const made = scene(() => answers.shift()())
  await made.settled()
  made.prompt = {1: node({samples: 2})}
  await made.settled()
  assert.equal(made.shown.length, 1)
  await made.settled()
  assert.deepEqual(made.shown.at(-1), [])
})
