// Weights as plain numbers: the pad's text, its geometry, and the rows that Blend Weights and Sweep Weights make.
// The same rules as mixing/weights.py. Nothing here knows the page.

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const SMALLEST_SHARE = 0.01 // below it a dragged weight is 0, which leaves the picture out exactly

/** The numbers of "0.5, 0.7", or null where the server would refuse the text. */
export function parse(text) {
  const pieces = String(text ?? '').split(/[\s,;]+/).filter(Boolean)
  if (pieces.length > 1000 || !pieces.every(piece => NUMBER.test(piece))) return null
  const numbers = pieces.map(Number)
  return numbers.every(Number.isFinite) ? numbers : null
}

/** The row as text, with 6 significant digits. */
export const format = row => row.map(number => Number(number.toPrecision(6))).join(', ')

/** One weight for each of `count` sockets; 1 if the row is too short. */
export const padded = (row, count) => Array.from({length: count}, (_, i) => row[i] ?? 1)

/**
 * The row after the pictures have changed from `before` to `after` (a key for each socket): a weight stays with its
 * picture, a picture that took another's socket takes its weight, and one on a new socket takes the number that the row
 * has for it, else 1. Numbers behind all sockets are kept: a pasted node has its numbers before it has its links.
 */
export function followed(row, before, after) {
  const taken = new Set()
  const found = after.map((key, i) => {
    const at = before[i] === key && !taken.has(i) ? i : before.findIndex((other, k) => other === key && !taken.has(k))
    if (at >= 0) taken.add(at)
    return at
  })
  const moved = found.map((at, i) => {
    if (at >= 0) return row[at] ?? 1
    if (i < before.length && taken.has(i)) return 1
    taken.add(i)
    return row[i] ?? 1
  })
  return [...moved, ...row.slice(Math.max(before.length, after.length))]
}

/** Each weight's part of the sum of magnitudes. */
export function shares(row) {
  const sizes = row.map(Math.abs)
  const total = sum(sizes)
  return sizes.map(size => (total ? size / total : 0))
}

/** How a row is scaled, in the words of the nodes. */
export function normalisation(row) {
  const near = (a, b) => Math.abs(a - b) < 0.0015
  if (near(Math.max(...row.map(Math.abs)), 1)) return 'max to 1'
  return near(sum(row), 1) ? 'sum to 1' : 'as given'
}

/** The corner of each of `count` pictures, in a square from -1 to 1: a line for two, else a polygon from the top on. */
export function corners(count) {
  if (count < 2) return [[0, 0]].slice(0, count)
  const start = count === 2 ? Math.PI : -Math.PI / 2
  return Array.from({length: count}, (_, i) => {
    const angle = start + (2 * Math.PI * i) / count
    return [Math.cos(angle), Math.sin(angle)].map(x => Math.round(x * 1e12) / 1e12 + 0)
  })
}

/** Where the puck stands for a row: the weighted mean of the corners, the middle where nothing has a weight. */
export function puckAt(row, places) {
  const parts = shares(row.map(weight => Math.max(0, weight)))
  return [0, 1].map(axis => sum(places.map((place, i) => parts[i] * place[axis])))
}

/** The nearest point to `point` in the polygon of `places`. */
export function within(point, places) {
  if (places.length < 2) return places[0] ?? [0, 0]
  const edges = places.map((place, i) => [place, places[(i + 1) % places.length]])
  if (places.length > 2 && edges.every(([a, b]) => cross(a, b, point) >= 0)) return point
  const nearest = edges.map(([a, b]) => {
    const [x, y] = [b[0] - a[0], b[1] - a[1]]
    const part = Math.min(1, Math.max(0, ((point[0] - a[0]) * x + (point[1] - a[1]) * y) / (x * x + y * y)))
    return [a[0] + part * x, a[1] + part * y]
  })
  return nearest.reduce((best, place) => (distance(place, point) < distance(best, point) ? place : best))
}

/**
 * The shares of a point among the corners: mean value coordinates (Floater, Mean value coordinates, 2003). They are
 * positive inside, add up to 1, are 1 on a corner, and their weighted mean of the corners is the point again.
 */
export function sharesAt(point, places) {
  const count = places.length
  const [x, y] = within(point, places)
  const reach = places.map(place => distance(place, [x, y]))
  const on = reach.findIndex(r => r < 1e-6)
  if (on >= 0) return places.map((_, i) => (i === on ? 1 : 0))
  if (count === 2) return shares([reach[1], reach[0]])
  // On an edge the tangent of the half angle between its ends is as good as infinite: they share all.
  const half = places.map((place, i) => {
    const other = places[(i + 1) % count]
    const dot = (place[0] - x) * (other[0] - x) + (place[1] - y) * (other[1] - y)
    return Math.tan(Math.atan2(cross([x, y], place, other), dot) / 2)
  })
  return shares(reach.map((r, i) => (half[(i + count - 1) % count] + half[i]) / r))
}

/** The row for a puck: `max to 1` among the pictures that are not locked; a locked one keeps its weight. */
export function rowAt(point, places, row, locked = []) {
  const part = sharesAt(point, places)
  const largest = Math.max(0, ...part.filter((_, i) => !locked[i]))
  return row.map((weight, i) => {
    if (locked[i]) return weight
    return part[i] < SMALLEST_SHARE || !largest ? 0 : Math.round((part[i] / largest) * 1000) / 1000
  })
}

/** One picture alone; a locked one keeps its weight. */
export const alone = (row, index, locked = []) =>
  row.map((weight, i) => (i === index ? 1 : locked[i] ? weight : 0))

/** Equal shares; a locked picture keeps its weight. */
export const equal = (row, locked = []) => row.map((weight, i) => (locked[i] ? weight : 1))

const EASINGS = {
  linear: t => t,
  'ease in': t => t * t,
  'ease out': t => t * (2 - t),
  'ease in-out': t => t * t * (3 - 2 * t),
}

/** The rows of Blend Weights, or null where the server would refuse. */
export function blend(from, to, variants, easing) {
  if (!from?.length || from.length !== to?.length || !EASINGS[easing] || !(variants >= 1)) return null
  return Array.from({length: variants}, (_, i) => {
    const t = EASINGS[easing](variants === 1 ? 0 : i / (variants - 1))
    return from.map((weight, k) => weight * (1 - t) + to[k] * t)
  })
}

/** How many rows Sweep Weights makes. */
export function sweepRows(pattern, variants, ingredients) {
  if (pattern === 'one at a time') return ingredients
  return pattern === 'simplex' ? ways(steps(ingredients, variants), ingredients) : variants
}

/** The rows of Sweep Weights. */
export function sweep(ingredients, pattern, variants, seed = 0) {
  const count = sweepRows(pattern, variants, ingredients)
  if (pattern === 'random') {
    const draw = generator(seed)
    return Array.from({length: count}, () => {
      const cuts = [0, ...Array.from({length: ingredients - 1}, draw).sort((a, b) => a - b), 1]
      return cuts.slice(1).map((cut, k) => cut - cuts[k])
    })
  }
  // One at a time is a ramp of as many rows as ingredients.
  if (pattern !== 'simplex')
    return Array.from({length: count}, (_, i) => {
      const place = count > 1 ? (i * (ingredients - 1)) / (count - 1) : 0
      return Array.from({length: ingredients}, (_, k) => Math.max(0, 1 - Math.abs(place - k)))
    })
  const whole = steps(ingredients, variants)
  const rows = []
  const fill = (head, left) => {
    if (head.length === ingredients - 1) return void rows.push([...head, left].map(k => k / whole))
    for (let k = left; k >= 0; k--) fill([...head, k], left - k)
  }
  fill([], whole)
  return rows
}

function steps(ingredients, variants) {
  if (ingredients <= 1) return 1
  let whole = 1
  while (ways(whole + 1, ingredients) <= Math.max(variants, ingredients)) whole++
  return whole
}

/** In how many ways `whole` steps are shared among `parts`: C(whole + parts - 1, parts - 1). */
function ways(whole, parts) {
  let result = 1
  for (let k = 1; k < parts; k++) result = (result * (whole + k)) / k
  return Math.round(result)
}

/**
 * Python's random.random() after random.Random(seed): MT19937, seeded by an array of 32-bit words (Matsumoto and
 * Nishimura, Mersenne Twister, 1998, and their mt19937ar of 2002).
 */
function generator(seed) {
  const words = 624
  const state = new Uint32Array(words)
  const key = seed < 2 ** 32 ? [seed] : [seed % 2 ** 32, Math.floor(seed / 2 ** 32)]
  const stirred = i => state[i - 1] ^ (state[i - 1] >>> 30)
  state[0] = 19650218
  for (let i = 1; i < words; i++) state[i] = Math.imul(1812433253, stirred(i)) + i
  let i = 1
  const step = value => {
    state[i] = value
    if (++i === words) {
      state[0] = state[words - 1]
      i = 1
    }
  }
  for (let k = 0; k < words; k++) step((state[i] ^ Math.imul(stirred(i), 1664525)) + key[k % key.length] + (k % key.length))
  for (let k = 1; k < words; k++) step((state[i] ^ Math.imul(stirred(i), 1566083941)) - i)
  state[0] = 0x80000000
  let at = 0
  const word = () => {
    const next = (at + 1) % words
    const twist = (state[at] & 0x80000000) | (state[next] & 0x7fffffff)
    let y = (state[at] = state[(at + 397) % words] ^ (twist >>> 1) ^ (twist & 1 ? 0x9908b0df : 0))
    at = next
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }
  return () => ((word() >>> 5) * 67108864 + (word() >>> 6)) / 9007199254740992
}

const sum = numbers => numbers.reduce((total, number) => total + number, 0)
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1])
const cross = (a, b, p) => (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
