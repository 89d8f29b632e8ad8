import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import test from 'node:test'
import * as weights from '../../web/lib/weights.mjs'

const cases = JSON.parse(readFileSync(new URL('rows.json', import.meta.url), 'utf8'))
const close = (found, wanted, what) => {
  assert.equal(found.length, wanted.length, what)
  found.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 1e-9, `${what}: ${found} is not ${wanted}`))
}
const random = (() => {
  let state = 1
  return () => (state = (state * 48271) % 2147483647) / 2147483647
})()

test('texts are read as the server reads them', () => {
  for (const {text, row} of cases.parse) assert.deepEqual(weights.parse(text), row, text)
})

test('a row survives its text', () => {
  for (const row of [[0.5, 0.7], [1e-7, 3], [-1, 0], [1234567]]) {
    close(weights.parse(weights.format(row)), row.map(x => Number(x.toPrecision(6))), 'row')
  }
  assert.equal(weights.format([-0, 1 / 3]), '0, 0.333333')
})

test('sweeps are the rows that the server makes', () => {
  for (const {ingredients, pattern, variants, seed, rows} of cases.sweep) {
    const found = weights.sweep(ingredients, pattern, variants, seed)
    assert.equal(found.length, rows.length, pattern)
    rows.forEach((row, i) => close(found[i], row, `${pattern} ${ingredients} row ${i}`))
  }
})

test('blends are the rows that the server makes', () => {
  for (const {from, to, variants, easing, rows} of cases.blend) {
    const found = weights.blend(from, to, variants, easing)
    rows.forEach((row, i) => close(found[i], row, `${easing} row ${i}`))
    assert.equal(found.length, rows.length)
  }
  assert.equal(weights.blend([1], [1, 0], 2, 'linear'), null)
  assert.equal(weights.blend(null, [1], 2, 'linear'), null)
})

test('a weight stays with its picture', () => {
  const row = [0.1, 0.2, 0.3]
  const before = ['a', 'b', 'c']
  const table = [
    [['a', 'b', 'c'], [0.1, 0.2, 0.3]],
    [['b', 'c'], [0.2, 0.3]],
    [['a', 'c'], [0.1, 0.3]],
    [['c', 'a', 'b'], [0.3, 0.1, 0.2]],
    [['a', 'b', 'c', 'd'], [0.1, 0.2, 0.3, 1]],
    [['d', 'a', 'b', 'c'], [1, 0.1, 0.2, 0.3]],
    [['d', 'b', 'c'], [0.1, 0.2, 0.3]],
    [['a', 'd', 'c'], [0.1, 0.2, 0.3]],
    [['a', 'a', 'b', 'c'], [0.1, 1, 0.2, 0.3]],
    [[], []],
  ]
  for (const [after, wanted] of table) close(weights.followed(row, before, after), wanted, after.join())
})

test('two sockets of one picture keep a weight each', () => {
  close(weights.followed([0.1, 0.2, 0.3], ['a', 'a', 'b'], ['a', 'b']), [0.1, 0.3], 'one gone')
  close(weights.followed([0.1, 0.2], ['a', 'a'], ['a', 'a', 'b']), [0.1, 0.2, 1], 'one more')
})

test('a pasted node gets its pictures one by one and keeps its numbers', () => {
  const first = weights.followed([0.1, 0.2, 0.3], [], ['a'])
  const second = weights.followed(first, ['a'], ['a', 'b'])
  close(weights.followed(second, ['a', 'b'], ['a', 'b', 'c']), [0.1, 0.2, 0.3], 'pasted')
})

test('the puck and the shares agree for two to ten pictures', () => {
  for (let count = 2; count <= 10; count++) {
    const places = weights.corners(count)
    places.forEach((place, i) => {
      assert.equal(weights.sharesAt(place, places)[i], 1)
      close(weights.sharesAt([place[0] * 9, place[1] * 9], places), places.map((_, k) => (k === i ? 1 : 0)), 'outside')
    })
    close(weights.sharesAt([0, 0], places), places.map(() => 1 / count), 'middle')
    for (let trial = 0; trial < 200; trial++) {
      const point = weights.within([random() * 2 - 1, random() * 2 - 1], places)
      const shares = weights.sharesAt(point, places)
      assert.ok(shares.every(share => share >= -1e-12), `${shares}`)
      assert.ok(Math.abs(shares.reduce((a, b) => a + b) - 1) < 1e-9)
      close(weights.puckAt(shares, places), point, `puck of ${count}`)
    }
  }
})

test('two neighbours share an edge, and nobody else', () => {
  const places = weights.corners(5)
  const middle = [0, 1].map(axis => (places[1][axis] + places[2][axis]) / 2)
  close(weights.rowAt(middle, places, [1, 1, 1, 1, 1]), [0, 1, 1, 0, 0], 'edge')
})

test('a puck gives max to 1, and leaves locked pictures alone', () => {
  const places = weights.corners(3)
  close(weights.rowAt([0, 0], places, [0.2, 0.3, 0.4]), [1, 1, 1], 'middle')
  close(weights.rowAt(places[0], places, [0.2, 0.3, 0.4]), [1, 0, 0], 'corner')
  close(weights.rowAt(places[0], places, [0.2, 0.3, 0.4], [false, true, false]), [1, 0.3, 0], 'locked')
  close(weights.rowAt(places[1], places, [0.2, 0.3, 0.4], [false, true, false]), [0, 0.3, 0], 'on the locked one')
  close(weights.alone([0.2, 0.3, 0.4], 2, [true]), [0.2, 0, 1], 'alone')
  close(weights.equal([0.2, 0.3, 0.4], [true]), [0.2, 1, 1], 'equal')
})

test('rows are named by their scale', () => {
  assert.equal(weights.normalisation([1, 0.3]), 'max to 1')
  assert.equal(weights.normalisation([0.7, 0.3]), 'sum to 1')
  assert.equal(weights.normalisation([2, 0.3]), 'as given')
  assert.deepEqual(weights.shares([3, -1]), [0.75, 0.25])
  assert.deepEqual(weights.shares([0, 0]), [0, 0])
})
