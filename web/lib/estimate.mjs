// Asks the server how many paid jobs a queue would make at most: after a pause in the changes, one question at a time,
// and not the same question twice in a row. The count itself is made by server/estimate.py.

const PAUSE_MS = 250
const LONGEST_TEXT = 100 // longer texts, such as prompts, do not change the count

/** The question for a prompt in API format. */
export const question = prompt =>
  JSON.stringify({prompt: Object.fromEntries(Object.entries(prompt).map(([id, {class_type, inputs}]) => [id, {class_type, inputs}]))},
    (_, value) => (typeof value === 'string' && value.length > LONGEST_TEXT ? '' : value))

/**
 * A function to call after each change of the graph. `read()` promises the prompt, or nothing if there is nothing to
 * count. `ask(question)` promises the server's response. `show(jobs)` gets a Map of node id to the jobs of each paid
 * node, null for a number that is not known beforehand. If the server cannot count, `show` gets null. While it does
 * not answer, `show` is not called, so that the last numbers stay.
 */
export function asker({read, ask, show, pause = PAUSE_MS}) {
  let timer
  let asking = false
  let again = false
  let last = {}
  const count = async () => {
    const prompt = await read()
    const asked = prompt && question(prompt)
    if (!asked) return
    if (asked !== last.asked) {
      const response = await ask(asked)
      const answer = response.ok ? await response.json() : null
      last = {asked, jobs: answer && new Map(answer.nodes.filter(({paid}) => paid).map(({node, images}) => [node, images]))}
    }
    show(last.jobs)
  }
  const run = async () => {
    again = asking
    if (asking) return
    asking = true
    await count().catch(() => {})
    asking = false
    if (again) soon()
  }
  const soon = () => {
    clearTimeout(timer)
    timer = setTimeout(run, pause)
  }
  return soon
}
