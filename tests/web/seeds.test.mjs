import assert from 'node:assert/strict'
import test from 'node:test'
import {fresh, remembered, seedsOf} from '../../web/lib/seeds.mjs'

const image = filename => ({filename, subfolder: 'mix', type: 'output'})
const run = (prompt, outputs) => ({prompt: [1, 'id', prompt], outputs})
const node = (class_type, inputs) => ({class_type, inputs})

test('a run tells the seed and the picture of each recipe, nearest first', () => {
  const prompt = {
    1: node('ImageMixerRecipe', {seed: 5, mix: ['9', 0]}),
    2: node('ImageMixerLocal', {recipe: ['1', 0]}),
    3: node('SaveImage', {images: ['2', 0]}),
    '7:4': node('ImageMixerRecipe', {seed: 6}),
    5: node('ImageMixerRemote', {recipe: ['7:4', 0]}),
    6: node('SaveImage', {images: ['5', 0]}),
  }
  const found = seedsOf(run(prompt, {3: {images: [image('clip.mp4'), image('a.png')]}, 6: {images: [image('b.png')]}}))
  assert.deepEqual(found.map(({id, seed, image: made}) => [id, seed, made.filename]), [['1', 5, 'a.png'], ['7:4', 6, 'b.png']])
})

test('a linked seed belongs to the node that holds it', () => {
  const prompt = {1: node('ImageMixerSeed', {seed: 8}), 2: node('ImageMixerRecipe', {seed: ['1', 0]})}
  assert.deepEqual(seedsOf(run(prompt, {})), [{id: '1', type: 'ImageMixerSeed', seed: 8, image: null}])
})

test('a seed that the service drew is read from the report', () => {
  const prompt = {1: node('ImageMixerRecipe', {seed: -1}), 2: node('ImageMixerSave', {report: ['1', 0]})}
  const outputs = {2: {images: [image('a.png')], image_mixer_report: [JSON.stringify({images: [{seed: 42}]})]}}
  assert.equal(seedsOf(run(prompt, outputs))[0].seed, 42)
  assert.equal(seedsOf(run(prompt, {2: {image_mixer_report: ['{}']}}))[0].seed, -1)
})

test('what has ended without a record tells nothing', () => assert.deepEqual(seedsOf(undefined), []))

test('twenty seeds are kept, each once, newest first', () => {
  let history
  for (let seed = 0; seed < 25; seed++) history = remembered(history, {seed})
  history = remembered(history, {seed: 10})
  assert.equal(history.length, 20)
  assert.deepEqual(history.slice(0, 3), [{seed: 10}, {seed: 24}, {seed: 23}])
  assert.equal(history.filter(({seed}) => seed === 10).length, 1)
})

test('a fresh seed is exact', () => {
  for (let i = 0; i < 100; i++) assert.ok(Number.isSafeInteger(fresh()) && fresh() >= 0)
})
