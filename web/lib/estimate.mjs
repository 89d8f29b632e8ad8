// How many jobs a queue would pay for at most, as far as the graph has it in plain numbers: the same reckoning as
// tools/comfy_tool/estimate.py, for the paid engine alone. null stands for a number that the graph computes.

import {sweepRows} from './weights.mjs'

export const REMOTE = 'ImageMixerRemote'
const APPENDERS = ['ImageMixerMix', 'ImageMixerAddImage', 'ImageMixerAddText', 'ImageMixerAddURL']

/**
 * The jobs of each paid node of a prompt (API format) that an output needs: a Map of node id to a number or null.
 * `info(type)` gives a node's definition as /object_info does.
 */
export function paidJobs(prompt, info) {
  const graph = new Graph(prompt, info)
  return new Map(
    graph.needed().filter(id => prompt[id].class_type === REMOTE).map(id => [id, product([graph.images(id), graph.runs(id)])]),
  )
}

const linkOf = value =>
  Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && Number.isInteger(value[1]) ? value : null

const product = numbers => (numbers.includes(0) ? 0 : numbers.includes(null) ? null : numbers.reduce((a, b) => a * b, 1))

class Graph {
  constructor(prompt, info) {
    this.prompt = prompt
    this.info = type => info(type) ?? {}
  }

  /** The nodes that some output node needs. */
  needed() {
    const found = new Set()
    const visit = id => {
      if (found.has(id) || !this.prompt[id]) return
      found.add(id)
      for (const value of Object.values(this.prompt[id].inputs)) if (linkOf(value)) visit(value[0])
    }
    for (const [id, node] of Object.entries(this.prompt)) if (this.info(node.class_type).output_node) visit(id)
    return [...found]
  }

  /** The node and its id at an input, where one is linked. */
  at(id, name) {
    const link = linkOf(this.prompt[id].inputs[name])
    return link && this.prompt[link[0]] ? {id: link[0], ...this.prompt[link[0]]} : null
  }

  /** Variants times samples of the recipe that an engine gets. */
  images(id) {
    const recipe = this.at(id, 'recipe')
    if (recipe?.class_type !== 'ImageMixerRecipe') return null
    return product([this.rows(recipe.id), this.number(recipe.id, 'samples')])
  }

  /** The rows of the mix at a node's input: all that have several have as many. */
  rows(id) {
    let most = 1
    for (let link = linkOf(this.prompt[id].inputs.mix); link; link = linkOf(this.prompt[link[0]].inputs.mix)) {
      const node = this.prompt[link[0]]
      if (!node || !APPENDERS.includes(node.class_type)) return null
      if (!('weights' in node.inputs)) continue
      const rows = this.weights(link[0])
      if (rows == null) return null
      most = Math.max(most, rows)
    }
    return most
  }

  weights(id) {
    const origin = this.at(id, 'weights')
    if (origin?.class_type === 'ImageMixerWeights') return 1
    if (origin?.class_type === 'ImageMixerBlendWeights') return this.number(origin.id, 'variants')
    if (origin?.class_type !== 'ImageMixerSweepWeights') return null
    const pattern = origin.inputs.pattern
    const [variants, ingredients] = ['variants', 'ingredients'].map(name => this.number(origin.id, name))
    return typeof pattern === 'string' && variants != null && ingredients != null ? sweepRows(pattern, variants, ingredients) : null
  }

  /** How often a node runs: once for each item of the longest list among its inputs. */
  runs(id) {
    if (this.info(this.prompt[id].class_type).is_input_list) return 1
    const lengths = Object.values(this.prompt[id].inputs).map(linkOf).filter(Boolean).map(link => this.list(...link))
    return lengths.includes(null) ? null : Math.max(1, ...lengths)
  }

  /** How many items come out of an output over all runs of its node. */
  list(id, slot) {
    const node = this.prompt[id]
    if (!node) return 1
    const runs = this.runs(id)
    if (!this.info(node.class_type).output_is_list?.[slot]) return runs
    return node.class_type === 'ImageMixerSeedSequence' ? product([runs, this.number(id, 'count')]) : null
  }

  /** A whole number of a widget, or of a node that holds nothing but one. */
  number(id, name) {
    const node = this.prompt[id]
    const {required = {}, optional = {}} = this.info(node.class_type).input ?? {}
    const value = node.inputs[name] ?? (required[name] ?? optional[name])?.[1]?.default
    if (linkOf(value)) {
      const origin = this.at(id, name)
      return origin?.class_type === 'PrimitiveInt' ? this.number(origin.id, 'value') : null
    }
    return Number.isInteger(value) ? value : null
  }
}
