// An agent with the npm package: creates a run, watches it and reads its output; and an error.
// usage: node packaged.mjs ADDRESS; ORDINAUT_TOKEN says who calls. Prints one JSON object of what it saw.
import { connect, json, struct } from "ordinaut";

const client = connect(process.argv[2]);
const data = { text: "hello", list: [1.5, null, { deep: true }], none: {} };
const { name } = await client.runs.CreateRun({
  pipeline: struct({ version: 1, steps: [{ id: "greet", uses: "orchestrator.set", with: data }] }),
});
const states = [];
for await (const { run } of client.runs.WatchRun({ name })) states.push(run.state);
const ended = await client.runs.GetRun({ name, view: "FULL" });
const missing = await client.tasks.GetTask({ name: "tasks/of-nobody" }).catch((failure) => failure);
const { tools } = await client.tools.ListTools({ page_size: 1000 });
console.log(
  JSON.stringify({
    state: states.at(-1),
    output: json(ended.steps[0].output),
    missing: missing.code,
    tools: tools.map((tool) => tool.name),
  }),
);
client.close();
