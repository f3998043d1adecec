// Compiles the JSON Schemas of the repository as ajv's strictest mode takes them, and validates their examples. An app may generate its
// validator from them, and generators warn of what strict mode refuses. Usage: node strict.mjs AJV_DIRECTORY SCHEMA...
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const [directory, ...files] = process.argv.slice(2);
const require = createRequire(resolve(directory, "node_modules", "any.js"));
const Ajv = require("ajv/dist/2020").default;

const refuse = (...words) => {
  throw new Error(words.join(" "));
};
const ajv = new Ajv({
  strict: true, strictSchema: true, strictNumbers: true, strictTypes: true, strictTuples: true, strictRequired: true,
  allErrors: true, validateFormats: true, logger: { log: refuse, warn: refuse, error: refuse },
});
require("ajv-formats").default(ajv);

const schemas = files.map((file) => JSON.parse(readFileSync(file, "utf8")));
for (const schema of schemas) ajv.addSchema(schema); // one may refer to another
if (schemas.length === 0) refuse("no schema");
for (const [i, schema] of schemas.entries()) {
  const validate = ajv.getSchema(schema.$id);
  const examples = schema.examples ?? [];
  for (const example of examples) {
    if (!validate(example)) refuse(files[i], JSON.stringify(example), ajv.errorsText(validate.errors));
  }
  console.log(`${files[i]}: strict, ${examples.length} examples`);
}
