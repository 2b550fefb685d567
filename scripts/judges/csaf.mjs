// Judges an advisory with the validator of the Secvisogram project: the strict schema of CSAF 2.0, and the mandatory and optional tests of the
// standard. See scripts/judge-csaf.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [, , modules, file] = process.argv
const require = createRequire(modules + '/')
const part = (name) => import(pathToFileURL(require.resolve('@secvisogram/csaf-validator-lib/' + name)))
const { default: validate } = await part('validate.js')
const groups = {
  'strict schema': [(await part('schemaTests.js')).csaf_2_0_strict],
  'mandatory tests': Object.values(await part('mandatoryTests.js')),
  'optional tests': Object.values(await part('optionalTests.js')),
}
const advisory = JSON.parse(readFileSync(file))
let failed = false
for (const [name, tests] of Object.entries(groups)) {
  const result = await validate(tests, advisory)
  console.log(`${name}: ${result.tests.length}, ${result.isValid ? 'valid' : 'NOT VALID'}`)
  failed ||= !result.isValid
  const seen = new Set()
  for (const test of result.tests) {
    for (const { message } of [...test.errors, ...test.warnings]) {
      if (!seen.has(message)) console.log(`  ${test.name}: ${message}`)
      seen.add(message)
    }
  }
}
process.exit(failed ? 1 : 0)
