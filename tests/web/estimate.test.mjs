import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import test from 'node:test'
import {paidJobs} from '../../web/lib/estimate.mjs'

const {info, cases} = JSON.parse(readFileSync(new URL('estimates.json', import.meta.url), 'utf8'))

const sum = jobs => [...jobs.values()].reduce((total, one) => (total == null || one == null ? null : total + one), 0)

test('paid jobs are those that `run --dry-run` counts', () => {
  assert.ok(cases.length > 20)
  for (const {prompt, paid} of cases) assert.equal(sum(paidJobs(prompt, type => info[type])), paid, JSON.stringify(prompt))
})

test('each paid node has its own number', () => {
  const {prompt} = cases.find(({paid}) => paid === 10)
  assert.deepEqual([...paidJobs(prompt, type => info[type])], [['engine', 10]])
})
