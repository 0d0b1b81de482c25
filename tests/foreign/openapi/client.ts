// Uses the types that openapi-typescript generated: lists, a watch, errors and 64-bit fields. Prints JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const token = process.env.ORDINAUT_TOKEN;
const api = createClient<paths>({ baseUrl: process.argv[2], headers: { authorization: `Bearer ${token}` } });
type Task = components["schemas"]["Task"];

function required<T>(value: T | undefined, error?: unknown): T {
  if (value === undefined) throw new Error(JSON.stringify(error));
  return value;
}

const steps = [{ id: "greet", uses: "orchestrator.set", with: { text: "hello" } }];
const task: Task = { pipeline: { steps, output: "${steps.greet.text}" } };
for (const n of [0, 1, 2]) {
  const { data, error } = await api.POST("/v1/tasks", { params: { query: { task_id: `generated-ts-${n}` } }, body: task });
  required(data, error);
}

const pages: (string | undefined)[][] = [];
let page_token: string | undefined;
do {
  const query = { page_size: 2, page_token, filter: "name : 'generated-ts'" };
  const { data, error } = await api.GET("/v1/tasks", { params: { query } });
  const page = required(data, error);
  pages.push((page.tasks ?? []).map((found) => found.name));
  page_token = page.next_page_token;
} while (page_token);

const path = { task: "generated-ts-0" };
const started = await api.POST("/v1/tasks/{task}:run", { params: { path } });
const run = required(required(started.data, started.error).name).replace("runs/", "");
const watch = await api.GET("/v1/runs/{run}:watch", { params: { path: { run } }, parseAs: "text" });
const lines = String(required(watch.data, watch.error)).trim().split("\n");
const states = lines.map((line) => (JSON.parse(line) as components["schemas"]["WatchRunResponse"]).run?.state);
const finished = await api.GET("/v1/runs/{run}", { params: { path: { run } } });

const missing = await api.GET("/v1/tasks/{task}", { params: { path: { task: "absent" } } });
const refused = await api.POST("/v1/tasks", {
  params: { query: { task_id: "generated-ts-x" } },
  body: { display_name: " ", pipeline: {} },
});
const changed = await api.PATCH("/v1/tasks/{task}", { params: { path }, body: { description: "new" } });
const paused = await api.POST("/v1/tasks/{task}:pause", { params: { path } });
for (const n of [0, 1, 2]) {
  await api.DELETE("/v1/tasks/{task}", { params: { path: { task: `generated-ts-${n}` } } });
}

console.log(
  JSON.stringify({
    pages,
    states,
    changed: changed.data?.description,
    output: finished.data?.output,
    version: paused.data?.version,
    paused: paused.data?.state,
    missing: [missing.error?.error.code, missing.error?.error.status, missing.error?.error.details[0]?.reason],
    refused: [
      refused.error?.error.code,
      (refused.error?.error.details[1]?.field_violations ?? []).map((violation) => violation.field).sort(),
    ],
  }),
);
