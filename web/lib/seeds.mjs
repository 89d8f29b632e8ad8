// Finds the seed that a run really used and the picture that it made. Both are read from the run's own record, so that they
// are right for linked seeds, subgraphs, batches and prompts from elsewhere. Nothing here uses the page.

export const KINDS = ['ImageMixerRecipe', 'ImageMixerSeed']
const KEPT = 20
const REPORT = 'image_mixer_report'

/** Returns [{id, type, seed, image}] for each node of a run with its own seed. `entry` is that of /history/<id>. */
export function seedsOf(entry) {
  const prompt = entry?.prompt?.[2] ?? {}
  return Object.entries(prompt)
    .filter(([, node]) => KINDS.includes(node.class_type) && Number.isInteger(node.inputs.seed))
    .map(([id, node]) => {
      const made = after(prompt, id).map(one => entry.outputs?.[one] ?? {})
      const image = made.flatMap(output => output.images ?? []).find(one => /\.(png|webp|jpe?g)$/i.test(one.filename))
      return {id, type: node.class_type, seed: node.inputs.seed === -1 ? (drawn(made) ?? -1) : node.inputs.seed, image: image ?? null}
    })
}

/** Returns the nodes after a node, nearest first, beginning with the node itself. */
function after(prompt, id) {
  const found = [id]
  for (const one of found)
    for (const [other, {inputs}] of Object.entries(prompt))
      if (!found.includes(other) && Object.values(inputs).some(value => Array.isArray(value) && value[0] === one)) found.push(other)
  return found
}

/** Returns the seed that the service drew, from the report of a saved image; null if there is none. */
function drawn(outputs) {
  try {
    return JSON.parse(outputs.flatMap(output => output[REPORT] ?? [])[0]).images[0].seed
  } catch {
    return null
  }
}

/** Returns the history with one more seed: newest first, each seed once, at most twenty. */
export const remembered = (history, one) => [one, ...(history ?? []).filter(({seed}) => seed !== one.seed)].slice(0, KEPT)

/** Returns a new seed, exact in JSON and JavaScript. */
export const fresh = () => Math.floor(Math.random() * 2 ** 50)
