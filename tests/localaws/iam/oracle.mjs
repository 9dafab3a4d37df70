// Answers each line of JSON on standard input, a list of cases, by a line of JSON: what
// @cloud-copilot/iam-simulate says of each. A process of its own: the package is AGPL, and no part
// of the product.
import { createInterface } from 'node:readline'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const say = async (one) => {
  const answer = await runSimulation(
    {
      request: {
        principal: one.principal,
        action: one.action,
        resource: { resource: one.resource, accountId: one.account },
        contextVariables: one.context
      },
      identityPolicies: one.identity.map((policy, number) => ({ name: `p${number}`, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: one.resource_policy ?? undefined
    },
    {}
  )
  return answer.resultType === 'error' ? JSON.stringify(answer.errors) : answer.overallResult
}

for await (const line of createInterface({ input: process.stdin })) {
  const answers = []
  for (const one of JSON.parse(line)) answers.push(await say(one))
  process.stdout.write(JSON.stringify(answers) + '\n')
}
