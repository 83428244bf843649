// Drives @anthropic-ai/sdk: against Anthropic.
import Anthropic, { APIError } from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather } from "./driver.mjs";
import { check, drive, weather, whole } from "./driver.mjs";

const model = "claude-haiku-4-5";
const messages = [{ role: "user", content: QUESTION }];
const ask = { model, max_tokens: 500, messages };
const tool = { name: TOOL_NAME, description: TOOL_ABOUT, input_schema: TOOL_SCHEMA };
const askTool = { ...ask, tools: [tool], tool_choice: { type: "any" } };

function client(base, id) {
  return new Anthropic({
    baseURL: base,
    apiKey: "sk-ant-brownout-example-key",
    maxRetries: 0,
    timeout: 30_000,
    defaultHeaders: id ? { [CASE_HEADER]: id } : {},
  });
}

async function call(base, { route: name, stream, id }) {
  const api = client(base, id);
  const route = name.split(".")[1];
  if (route === "count-tokens") {
    await api.messages.countTokens({ model, messages });
    return ["token count", null];
  }
  if (route === "models") {
    await (id.includes("/not-found/") ? api.models.retrieve(model) : api.models.list());
    return ["models", null];
  }
  const made = await api.messages.create({ ...ask, stream });
  if (!stream) return [made.type, made.stop_reason];
  let finish = null;
  let event;
  for await (event of made) {
    if (event.type === "message_delta") finish = event.delta.stop_reason;
  }
  return ["message_stop", finish];
}

function describe(raised) {
  return {
    status: raised.status,
    code: raised.errorCode,
    type: raised.type,
    request_id: raised.requestID,
    official: raised instanceof APIError,
  };
}

const successes = {
  message: async (base) => {
    const made = await client(base).messages.create(ask);
    whole(made.content[0].text);
    check(made.stop_reason === "end_turn" && made.usage.output_tokens > 0, made);
    return made.type;
  },
  "message, streamed": async (base) => {
    let text = "";
    let last;
    for await (const event of await client(base).messages.create({ ...ask, stream: true })) {
      if (event.type === "content_block_delta") text += event.delta.text;
      last = event;
    }
    whole(text);
    check(last.type === "message_stop", last);
    return last.type;
  },
  "message, streamed by the helper": async (base) => {
    const made = await client(base).messages.stream(ask).finalMessage();
    whole(made.content[0].text);
    check(made.stop_reason === "end_turn" && made.usage.output_tokens > 0, made);
    return made.type;
  },
  "message with a tool": async (base) => {
    const made = await client(base).messages.create(askTool);
    const block = made.content.find(({ type }) => type === "tool_use");
    check(block.name === TOOL_NAME && made.stop_reason === "tool_use", made);
    weather(block.input);
    return made.type;
  },
  "message with a tool, streamed": async (base) => {
    const made = await client(base).messages.stream(askTool).finalMessage();
    const block = made.content.find(({ type }) => type === "tool_use");
    check(block.name === TOOL_NAME && made.stop_reason === "tool_use", made);
    weather(block.input);
    return made.type;
  },
  "message, structured": async (base) => {
    const output_config = { format: zodOutputFormat(Weather) };
    const made = await client(base).messages.parse({ ...ask, output_config });
    weather(made.parsed_output);
    return made.type;
  },
  "token count": async (base) => {
    const made = await client(base).messages.countTokens({ model, messages });
    check(made.input_tokens > 0, made);
    return "token count";
  },
  models: async (base) => {
    const made = await client(base).models.list();
    check(made.data.length > 0, made);
    return made.data[0].type;
  },
  "one model": async (base) => (await client(base).models.retrieve(model)).type,
};

await drive(call, { anthropic: successes }, describe);
