// Weights as plain numbers: the pad's text, its geometry, and the rows of Blend Weights and Sweep Weights, which the page
// draws while a person types. mixing/ has the same rules; tests/web/rows.json holds both to the same rows. Nothing here
// uses the page.

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const SMALLEST_SHARE = 0.01 // a smaller dragged weight becomes 0, so that the picture has no effect at all

/** Returns the numbers of "0.5, 0.7", or null if the server would refuse the text. */
export function parse(text) {
  const pieces = String(text ?? '').split(/[\s,;]+/).filter(Boolean)
  if (pieces.length > 1000 || !pieces.every(piece => NUMBER.test(piece))) return null
  const numbers = pieces.map(Number)
  return numbers.every(Number.isFinite) ? numbers : null
}

/** Returns the row as text, with 6 significant digits. */
export const format = row => row.map(number => Number(number.toPrecision(6))).join(', ')

/** Returns one weight per socket: 1 for sockets that the row has no number for. */
export const padded = (row, count) => Array.from({length: count}, (_, i) => row[i] ?? 1)

/**
 * Returns the row after the pictures have changed from `before` to `after` (one key per socket). A weight stays with its
 * picture. A picture that repoints another gets its weight. A picture on a new socket gets the number that the row has
 * for that socket, else 1. Numbers after the last socket are kept: a pasted node has its numbers before it has its links.
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

/** Returns each weight's share of the sum of magnitudes. */
export function shares(row) {
  const sizes = row.map(Math.abs)
  const total = sum(sizes)
  return sizes.map(size => (total ? size / total : 0))
}

/** Returns the name of a row's scale, as the nodes' normalisations are named. */
export function normalisation(row) {
  const near = (a, b) => Math.abs(a - b) < 0.0015
  if (near(Math.max(...row.map(Math.abs)), 1)) return 'max to 1'
  return near(sum(row), 1) ? 'sum to 1' : 'as given'
}

/** Returns each picture's corner in a square from -1 to 1: a line for two, else a polygon that starts at the top. */
export function corners(count) {
  if (count < 2) return [[0, 0]].slice(0, count)
  const start = count === 2 ? Math.PI : -Math.PI / 2
  return Array.from({length: count}, (_, i) => {
    const angle = start + (2 * Math.PI * i) / count
    return [Math.cos(angle), Math.sin(angle)].map(x => Math.round(x * 1e12) / 1e12 + 0)
  })
}

/** Returns the puck's point for a row: the weighted mean of the corners, the middle if all weights are 0. */
export function puckAt(row, points) {
  const parts = shares(row.map(weight => Math.max(0, weight)))
  return [0, 1].map(axis => sum(points.map((corner, i) => parts[i] * corner[axis])))
}

/** Returns the point in the polygon of `points` that is nearest to `point`. */
export function within(point, points) {
  if (points.length < 2) return points[0] ?? [0, 0]
  const edges = points.map((corner, i) => [corner, points[(i + 1) % points.length]])
  if (points.length > 2 && edges.every(([a, b]) => cross(a, b, point) >= 0)) return point
  const nearest = edges.map(([a, b]) => {
    const [x, y] = [b[0] - a[0], b[1] - a[1]]
    const part = Math.min(1, Math.max(0, ((point[0] - a[0]) * x + (point[1] - a[1]) * y) / (x * x + y * y)))
    return [a[0] + part * x, a[1] + part * y]
  })
  return nearest.reduce((best, corner) => (distance(corner, point) < distance(best, point) ? corner : best))
}

/**
 * Returns the shares of the corners at a point: mean value coordinates (Floater, Mean value coordinates, 2003). They are
 * positive inside, add up to 1, and are 1 on a corner. The corners' mean, weighted by them, is the point.
 */
export function sharesAt(point, points) {
  const count = points.length
  const [x, y] = within(point, points)
  const reach = points.map(corner => distance(corner, [x, y]))
  const on = reach.findIndex(r => r < 1e-6)
  if (on >= 0) return points.map((_, i) => (i === on ? 1 : 0))
  if (count === 2) return shares([reach[1], reach[0]])
  // On an edge, the tangent of the half angle between its ends is nearly infinite: those two share everything.
  const half = points.map((corner, i) => {
    const other = points[(i + 1) % count]
    const dot = (corner[0] - x) * (other[0] - x) + (corner[1] - y) * (other[1] - y)
    return Math.tan(Math.atan2(cross([x, y], corner, other), dot) / 2)
  })
  return shares(reach.map((r, i) => (half[(i + count - 1) % count] + half[i]) / r))
}

/** Returns the row for a puck: `max to 1` among the unlocked pictures; a locked one keeps its weight. */
export function rowAt(point, points, row, locked = []) {
  const part = sharesAt(point, points)
  const largest = Math.max(0, ...part.filter((_, i) => !locked[i]))
  return row.map((weight, i) => {
    if (locked[i]) return weight
    return part[i] < SMALLEST_SHARE || !largest ? 0 : Math.round((part[i] / largest) * 1000) / 1000
  })
}

/** Returns the row of one picture alone; a locked one keeps its weight. */
export const alone = (row, index, locked = []) =>
  row.map((weight, i) => (i === index ? 1 : locked[i] ? weight : 0))

/** Returns the row of equal shares; a locked picture keeps its weight. */
export const equal = (row, locked = []) => row.map((weight, i) => (locked[i] ? weight : 1))

const EASINGS = {
  linear: t => t,
  'ease in': t => t * t,
  'ease out': t => t * (2 - t),
  'ease in-out': t => t * t * (3 - 2 * t),
}

/** Returns the rows of Blend Weights, or null if the server would refuse. */
export function blend(from, to, variants, easing) {
  if (!from?.length || from.length !== to?.length || !EASINGS[easing] || !(variants >= 1)) return null
  return Array.from({length: variants}, (_, i) => {
    const t = EASINGS[easing](variants === 1 ? 0 : i / (variants - 1))
    return from.map((weight, k) => weight * (1 - t) + to[k] * t)
  })
}

/** Returns the rows of Sweep Weights. */
export function sweep(ingredients, pattern, variants, seed = 0) {
  const count = pattern === 'one at a time' ? ingredients : variants
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
      const at = count > 1 ? (i * (ingredients - 1)) / (count - 1) : 0
      return Array.from({length: ingredients}, (_, k) => Math.max(0, 1 - Math.abs(at - k)))
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

/** Returns in how many ways `whole` steps can be shared among `parts`: C(whole + parts - 1, parts - 1). */
function ways(whole, parts) {
  let result = 1
  for (let k = 1; k < parts; k++) result = (result * (whole + k)) / k
  return Math.round(result)
}

/**
 * Returns Python's random.random() after random.Random(seed): MT19937, seeded by an array of 32-bit words (Matsumoto and
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
