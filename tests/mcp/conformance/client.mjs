// The whole job by a TypeScript client: node client.mjs v1|v2 MODE stdio|http|sse TARGET TEXT, in a folder with both
// packages. TARGET is a URL, or for stdio a command as JSON. Prints what it saw, as JSON.
import { createRequire } from "node:module";

const [version, mode, transport, target, text] = process.argv.slice(2);
const require = createRequire(process.cwd() + "/");
const v1 = (name) => require(`@modelcontextprotocol/sdk/client/${name}.js`);
const sdk =
  version === "v1"
    ? { ...v1("index"), ...v1("stdio"), ...v1("streamableHttp"), ...v1("sse") }
    : { ...require("@modelcontextprotocol/client"), ...require("@modelcontextprotocol/client/stdio") };

function connection() {
  if (transport === "stdio") return new sdk.StdioClientTransport({ ...JSON.parse(target), stderr: "inherit" });
  return new (transport === "sse" ? sdk.SSEClientTransport : sdk.StreamableHTTPClientTransport)(new URL(target));
}

const client = new sdk.Client({ name: "typescript", version }, { versionNegotiation: { mode } });
const heard = [];
client.fallbackNotificationHandler = async (notification) => {
  heard.push(notification.method);
};

async function call(name, args, options) {
  const params = { name, arguments: args };
  const result = await (version === "v1" ? client.callTool(params, undefined, options) : client.callTool(params, options));
  if (result.isError) throw new Error(JSON.stringify(result.content));
  return result.structuredContent;
}

async function told(method) {
  while (!heard.includes(method)) await new Promise((resolve) => setTimeout(resolve, 10));
}

await client.connect(connection());
const uri = "memorag://contexts/mill";
const modern = client.getProtocolEra?.() === "modern";
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const empty = (await call("list_contexts", {})).contexts;
const watching = modern
  ? await client.listen({ resourcesListChanged: true, resourceSubscriptions: [uri] })
  : await client.subscribeResource({ uri });
const begun = await call("memorize_context", { text: text.repeat(100), name: "long", wait_seconds: 0 });
const cancelled = (await call("cancel_memorize", { job_id: begun.job_id })).status;
const progress = [];
const onprogress = (step) => progress.push(step.progress);
const memorized = await call("memorize_context", { text, name: "mill", wait_seconds: 60 }, { onprogress, timeout: 300_000 });
await told("notifications/resources/list_changed");
await told("notifications/resources/updated");
const ref = { type: "ref/resource", uri: "memorag://contexts/{context_id}" };
const completed = (await client.complete({ ref, argument: { name: "context_id", value: "mi" } })).completion.values;
const answer = await call("answer", { context_id: "mill", question: "When were the gates hung?" });
const listed = (await client.listResources()).resources.map((resource) => resource.uri);
const read = (await client.readResource({ uri: listed[1] })).contents[0].text;
await call("forget_context", { context_id: "mill" });
const left = (await call("list_contexts", {})).contexts;
await watching.close?.();
await client.close();
const context = memorized.context_id;
console.log(JSON.stringify({ modern, tools, empty, cancelled, progress, context, completed, answer, read, left }));
