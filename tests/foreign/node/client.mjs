// A stranger's client: creates, runs, watches and cancels tasks, without code generated for it.
// usage: node client.mjs ADDRESS PROTO_FOLDER...; ORDINAUT_TOKEN says who calls. Prints one JSON object of what it saw.
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";
import { load } from "@grpc/proto-loader";

const [address, ...includeDirs] = process.argv.slice(2);
const PROTOS = ["task", "run", "tool"].map((noun) => `ordinaut/v1/${noun}_service.proto`);
const DEADLINE_MS = 30_000;
const OPTIONS = { keepCase: true, enums: String, longs: String, defaults: true, includeDirs };

const { ordinaut } = grpc.loadPackageDefinition(await load(PROTOS, OPTIONS));
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${process.env.ORDINAUT_TOKEN}`);
const deadline = () => ({ deadline: Date.now() + DEADLINE_MS });

// `await service.Method(request)` for the unary methods; `watch` below is for the streams.
function open(name) {
  const client = new ordinaut.v1[name](address, grpc.credentials.createInsecure());
  return new Proxy(client, {
    get: (target, method) => (request) => promisify(target[method].bind(target))(request, metadata, deadline()),
  });
}

// A google.protobuf.Value or Struct of plain JSON: the wire has a message for what JavaScript writes as {…}. Their names
// are always spelled in this way, also with keepCase: protobufjs brings its own copy of them.
function value(plain) {
  if (plain === null) return { nullValue: "NULL_VALUE" };
  if (Array.isArray(plain)) return { listValue: { values: plain.map(value) } };
  if (typeof plain === "object") return { structValue: struct(plain) };
  return { [`${typeof plain === "boolean" ? "bool" : typeof plain}Value`]: plain };
}

function struct(plain) {
  return { fields: Object.fromEntries(Object.entries(plain).map(([key, one]) => [key, value(one)])) };
}

// Every state that a run goes through, to its end; `onState` sees each as it comes.
function watch(name, onState = () => {}) {
  const runs = new ordinaut.v1.RunService(address, grpc.credentials.createInsecure());
  return new Promise((resolve, reject) => {
    const states = [];
    const stream = runs.WatchRun({ name }, metadata, deadline());
    stream.on("data", ({ run }) => {
      states.push(run.state);
      onState(run);
    });
    stream.on("error", reject);
    stream.on("end", () => resolve(states));
  });
}

const tasks = open("TaskService");
const tools = open("ToolService");
const runs = open("RunService");

await tasks.CreateTask({
  task_id: "from-node",
  task: { pipeline: struct({ version: 1, steps: [{ id: "greet", uses: "orchestrator.set", with: { text: "hello" } }] }) },
});
const greeted = await watch((await tasks.RunTask({ name: "tasks/from-node" })).name);

// Nobody listens on port 9: the step is tried again in an hour, unless somebody ends the run.
await tools.CreateTool({ tool: { name: "tools/node.absent", effect: "IDEMPOTENT", http: { url: "http://127.0.0.1:9/" } } });
await tasks.CreateTask({
  task_id: "from-node-slowly",
  task: {
    pipeline: struct({
      version: 1,
      steps: [{ id: "wait", uses: "node.absent", retry: { max: 3, delay: "1h" } }],
    }),
  },
});
const { name: slow } = await tasks.RunTask({ name: "tasks/from-node-slowly" });
let cancelled = false;
const ended = await watch(slow, () => {
  if (!cancelled) {
    cancelled = true;
    runs.CancelRun({ name: slow });
  }
});

const missing = await tasks.GetTask({ name: "tasks/of-nobody" }).catch((failure) => failure);
console.log(
  JSON.stringify({
    greeted,
    ended,
    missing: { code: missing.code, details: missing.metadata.get("grpc-status-details-bin").length },
  }),
);
process.exit(0); // channels would keep the process for a while
