// The client of Ordinaut for Node. The proto files are part of the package and are read when it is loaded.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

// The folder of the proto files, with those of google/api that they import.
export const protos = fileURLToPath(new URL("protos", import.meta.url));

const SERVICES = {
  tasks: "TaskService",
  runs: "RunService",
  approvals: "ApprovalService",
  events: "EventService",
  tools: "ToolService",
  state: "StateService",
  agents: "AgentService",
  system: "SystemService",
};
const OPTIONS = { keepCase: true, enums: String, longs: String, defaults: true, includeDirs: [protos] };
const DEADLINE_MS = 60_000;
const files = readdirSync(join(protos, "ordinaut/v1")).filter((name) => name.endsWith("_service.proto"));
const loaded = grpc.loadPackageDefinition(loadSync(files.map((name) => `ordinaut/v1/${name}`), OPTIONS));

// Returns the services: `await client.tasks.GetTask({ name })`. Methods that stream return an async iterable.
// `credentials` are those of @grpc/grpc-js, without TLS by default; `deadlineMs` limits calls that do not stream.
export function connect(address, { token = process.env.ORDINAUT_TOKEN, credentials, deadlineMs = DEADLINE_MS } = {}) {
  const metadata = new grpc.Metadata();
  if (token) metadata.set("authorization", `Bearer ${token}`);
  const stubs = Object.entries(SERVICES).map(([name, service]) => {
    const stub = new loaded.ordinaut.v1[service](address, credentials ?? grpc.credentials.createInsecure());
    return [name, stub];
  });
  const services = stubs.map(([name, stub]) => [name, methodsOf(stub, metadata, deadlineMs)]);
  return { ...Object.fromEntries(services), close: () => stubs.forEach(([, stub]) => stub.close()) };
}

function methodsOf(stub, metadata, deadlineMs) {
  const definitions = Object.entries(Object.getPrototypeOf(stub).constructor.service);
  return Object.fromEntries(
    definitions.map(([name, definition]) => [
      name,
      definition.responseStream
        ? (request) => stub[name](request, metadata)
        : (request) =>
            new Promise((resolve, reject) => {
              const options = { deadline: Date.now() + deadlineMs };
              stub[name](request, metadata, options, (error, response) => (error ? reject(error) : resolve(response)));
            }),
    ]),
  );
}

// Returns plain JSON as google.protobuf.Value, such as an `input` or a state value.
export function value(plain) {
  if (plain === null || plain === undefined) return { nullValue: "NULL_VALUE" };
  if (Array.isArray(plain)) return { listValue: { values: plain.map(value) } };
  if (typeof plain === "object") return { structValue: struct(plain) };
  return { [`${typeof plain === "boolean" ? "bool" : typeof plain}Value`]: plain };
}

// Returns a plain object as google.protobuf.Struct, such as a `pipeline` or `params`.
export function struct(plain) {
  return { fields: Object.fromEntries(Object.entries(plain).map(([key, item]) => [key, value(item)])) };
}

// Returns a google.protobuf.Value or Struct of a response as plain JSON.
export function json(message) {
  if (message === null || message === undefined) return null;
  if (message.fields !== undefined) {
    return Object.fromEntries(Object.entries(message.fields).map(([key, item]) => [key, json(item)]));
  }
  if (message.structValue !== undefined && message.structValue !== null) return json(message.structValue);
  if (message.listValue !== undefined && message.listValue !== null) return message.listValue.values.map(json);
  for (const key of ["stringValue", "numberValue", "boolValue"]) {
    if (message[key] !== undefined && message[key] !== null) return message[key];
  }
  return null;
}
