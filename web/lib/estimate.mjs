// How many jobs a queue would pay for at most, as far as the graph has it in plain numbers: the same reckoning as
// tools/comfy_tool/commands/estimate.py, for the paid engine alone. null stands for a number that the graph computes.

import {sweepRows} from './weights.mjs'

export const REMOTE = 'ImageMixerRemote'
const APPENDERS = ['ImageMixerMix', 'ImageMixerAddImage', 'ImageMixerAddText', 'ImageMixerAddURL']

const linkOf = value =>
  Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && Number.isInteger(value[1]) ? value : null

const product = numbers => (numbers.includes(0) ? 0 : numbers.includes(null) ? null : numbers.reduce((a, b) => a * b, 1))

/**
 * The jobs of each paid node of a prompt (API format) that an output needs: a Map of node id to a number or null.
 * `info(type)` gives a node's definition as /object_info does.
 */
export function paidJobs(prompt, info) {
  const infoOf = id => info(prompt[id].class_type) ?? {}
  const links = id => Object.values(prompt[id].inputs).map(linkOf).filter(link => prompt[link?.[0]])

  /** The node and its id at an input, where one is linked. */
  const at = (id, name) => {
    const [from] = linkOf(prompt[id].inputs[name]) ?? []
    return prompt[from] && {id: from, ...prompt[from]}
  }

  /** A whole number of a widget, or of a node that holds nothing but one. */
  const number = (id, name) => {
    const {required, optional} = infoOf(id).input ?? {}
    const value = prompt[id].inputs[name] ?? ({...required, ...optional})[name]?.[1]?.default
    if (Number.isInteger(value)) return value
    const origin = linkOf(value) && at(id, name)
    return origin?.class_type === 'PrimitiveInt' ? number(origin.id, 'value') : null
  }

  const weights = id => {
    const {id: from, class_type: type, inputs} = at(id, 'weights') ?? {}
    if (type === 'ImageMixerWeights') return 1
    if (type === 'ImageMixerBlendWeights') return number(from, 'variants')
    if (type !== 'ImageMixerSweepWeights' || typeof inputs.pattern !== 'string') return null
    const numbers = ['variants', 'ingredients'].map(name => number(from, name))
    return numbers.includes(null) ? null : sweepRows(inputs.pattern, ...numbers)
  }

  /** The rows of the mix at a node's input: all that have several have as many. */
  const rows = id => {
    if (!linkOf(prompt[id].inputs.mix)) return 1
    const mix = at(id, 'mix')
    if (!APPENDERS.includes(mix?.class_type)) return null
    const both = [rows(mix.id), 'weights' in mix.inputs ? weights(mix.id) : 1]
    return both.includes(null) ? null : Math.max(...both)
  }

  /** How often a node runs: once for each item of the longest list among its inputs. */
  const runs = id => {
    const lengths = infoOf(id).is_input_list ? [] : links(id).map(([from, slot]) => list(from, slot))
    return lengths.includes(null) ? null : Math.max(1, ...lengths)
  }

  /** How many items come out of an output over all runs of its node. */
  const list = (id, slot) => {
    if (!infoOf(id).output_is_list?.[slot]) return runs(id)
    return prompt[id].class_type === 'ImageMixerSeedSequence' ? product([runs(id), number(id, 'count')]) : null
  }

  /** Variants times samples of the recipe that an engine gets, each time it runs. */
  const jobs = id => {
    const recipe = at(id, 'recipe')
    const images = recipe?.class_type === 'ImageMixerRecipe' ? [rows(recipe.id), number(recipe.id, 'samples')] : [null]
    return product([...images, runs(id)])
  }

  const needed = new Set(Object.keys(prompt).filter(id => infoOf(id).output_node))
  for (const id of needed) for (const [from] of links(id)) needed.add(from)
  return new Map([...needed].filter(id => prompt[id].class_type === REMOTE).map(id => [id, jobs(id)]))
}
