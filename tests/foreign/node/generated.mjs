// A client that buf has generated: asks who it is and which tools there are.
// usage: node generated.mjs ADDRESS; ORDINAUT_TOKEN says who calls. Prints one JSON object of what it saw.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { AgentService } from "./gen/ordinaut/v1/agent_service_pb.js";
import { ToolService } from "./gen/ordinaut/v1/tool_service_pb.js";

const authorized = (next) => (request) => {
  request.header.set("authorization", `Bearer ${process.env.ORDINAUT_TOKEN}`);
  return next(request);
};
const transport = createGrpcTransport({ baseUrl: `http://${process.argv[2]}`, interceptors: [authorized] });

const { agent, project } = await createClient(AgentService, transport).whoAmI({});
const { tools } = await createClient(ToolService, transport).listTools({ pageSize: 1000 });
console.log(JSON.stringify({ agent: agent.name, project, tools: tools.map((tool) => tool.name) }));
process.exit(0); // the connection would keep the process for a while
