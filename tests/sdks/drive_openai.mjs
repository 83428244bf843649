// Drives openai: against OpenAI, Azure OpenAI and OpenRouter. SDK names the package, of several
// versions under several names.
import { CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Weather } from "./driver.mjs";
import { check, drive, unit, weather, whole } from "./driver.mjs";

const sdk = process.env.SDK ?? "openai";
const { default: OpenAI, AzureOpenAI, APIError } = await import(sdk);
const { zodResponseFormat, zodTextFormat } = await import(`${sdk}/helpers/zod`);

const messages = [{ role: "user", content: QUESTION }];
const about = { name: TOOL_NAME, description: TOOL_ABOUT, parameters: TOOL_SCHEMA, strict: true };
const CHAT_TOOL = { type: "function", function: about };
const TOOL = { type: "function", ...about };
const MODELS = {
  openai: { generate: "gpt-4o-mini", completions: "gpt-3.5-turbo-instruct" },
  azure: { generate: "gpt-4o-mini", completions: "gpt-35-turbo-instruct" },
  openrouter: { generate: "openai/gpt-4o-mini" },
};
const EMBEDDING_MODEL = "text-embedding-3-small";

function client(base, provider, id) {
  const options = {
    apiKey: "sk-brownout-example-key",
    maxRetries: 0,
    timeout: 30_000,
    defaultHeaders: id ? { [CASE_HEADER]: id } : {},
  };
  if (provider === "azure") {
    return new AzureOpenAI({ endpoint: base, apiVersion: "2025-04-01-preview", ...options });
  }
  const path = { openai: "/v1", openrouter: "/openrouter/api/v1" }[provider];
  return new OpenAI({ baseURL: base + path, ...options });
}

// What an answer says that it is.
const kind = (made) => made.object ?? made.type;

async function read(stream) {
  let last;
  let finish = null;
  for await (const event of stream) {
    last = event;
    finish = event.choices?.[0]?.finish_reason ?? finish;
    if (event.type === "error") return [kind(event), `error event: ${event.code}`];
    if (event.type === "response.failed") {
      return [kind(event), `failed: ${event.response.error.code}`];
    }
    if (event.type === "response.incomplete") {
      return [kind(event), `incomplete: ${event.response.incomplete_details.reason}`];
    }
    if (event.type === "response.completed") finish = "completed";
  }
  return [kind(last), finish];
}

async function call(base, { provider, route: name, stream, id }) {
  const api = client(base, provider, id);
  const route = name.split(".")[1];
  const model = MODELS[provider][route] ?? MODELS[provider].generate;
  let made;
  if (route === "chat") made = await api.chat.completions.create({ model, messages, stream });
  if (route === "responses") made = await api.responses.create({ model, input: QUESTION, stream });
  if (route === "completions") made = await api.completions.create({ model, prompt: QUESTION, stream });
  if (route === "embeddings") {
    made = await api.embeddings.create({ model: EMBEDDING_MODEL, input: QUESTION });
  }
  if (route === "models") {
    made = await (provider === "openai" && id.includes("/not-found/") ? api.models.retrieve(model) : api.models.list());
  }
  if (stream) return await read(made);
  const parts = made.output?.flatMap(({ content }) => content ?? []) ?? [];
  const refused = made.choices?.[0]?.message?.refusal || parts.some(({ type }) => type === "refusal");
  return [kind(made), refused ? "refusal" : (made.choices?.[0]?.finish_reason ?? made.status)];
}

function describe(raised) {
  return {
    status: raised.status,
    code: raised.code,
    type: raised.type,
    request_id: raised.requestID,
    official: raised instanceof APIError,
  };
}

function successes(provider) {
  const model = MODELS[provider].generate;
  const api = (base) => client(base, provider);
  const chatTool = { model, messages, tools: [CHAT_TOOL], tool_choice: "required" };
  const table = {
    chat: async (base) => {
      const made = await api(base).chat.completions.create({ model, messages });
      whole(made.choices[0].message.content);
      check(made.choices[0].finish_reason === "stop" && made.usage.completion_tokens > 0, made);
      return kind(made);
    },
    "chat, streamed": async (base) => {
      let text = "";
      let usage;
      let chunk;
      const stream_options = { include_usage: true };
      const ask = { model, messages, stream: true, stream_options };
      for await (chunk of await api(base).chat.completions.create(ask)) {
        text += chunk.choices[0]?.delta?.content ?? "";
        usage = chunk.usage ?? usage;
      }
      whole(text);
      check(usage.completion_tokens > 0, usage);
      return "chat.completion.chunk";
    },
    "chat, streamed by the helper": async (base) => {
      const made = await api(base).chat.completions.stream({ model, messages }).finalChatCompletion();
      whole(made.choices[0].message.content);
      return kind(made);
    },
    "chat with a tool": async (base) => {
      const made = await api(base).chat.completions.create(chatTool);
      const [toolCall] = made.choices[0].message.tool_calls;
      check(toolCall.function.name === TOOL_NAME, toolCall);
      check(made.choices[0].finish_reason === "tool_calls", made);
      weather(JSON.parse(toolCall.function.arguments));
      return kind(made);
    },
    "chat with a tool, streamed": async (base) => {
      const made = await api(base).chat.completions.stream(chatTool).finalChatCompletion();
      const [toolCall] = made.choices[0].message.tool_calls;
      check(toolCall.function.name === TOOL_NAME, toolCall);
      weather(JSON.parse(toolCall.function.arguments));
      return kind(made);
    },
    "chat, structured": async (base) => {
      const response_format = zodResponseFormat(Weather, "weather");
      const made = await api(base).chat.completions.parse({ model, messages, response_format });
      weather(made.choices[0].message.parsed);
      return kind(made);
    },
    "chat, n = 2": async (base) => {
      const made = await api(base).chat.completions.create({ model, messages, n: 2 });
      check(made.choices.length === 2 && made.choices[1].index === 1, made);
      for (const choice of made.choices) whole(choice.message.content);
      return kind(made);
    },
    responses: async (base) => {
      const made = await api(base).responses.create({ model, input: QUESTION });
      whole(made.output_text);
      check(made.status === "completed" && made.usage.output_tokens > 0, made);
      return kind(made);
    },
    "responses, streamed": async (base) => {
      const made = await api(base).responses.stream({ model, input: QUESTION }).finalResponse();
      whole(made.output_text);
      return kind(made);
    },
    "responses with a tool": async (base) => {
      const ask = { model, input: QUESTION, tools: [TOOL], tool_choice: "required" };
      const made = await api(base).responses.create(ask);
      const item = made.output.find(({ type }) => type === "function_call");
      check(item.name === TOOL_NAME, made);
      weather(JSON.parse(item.arguments));
      return kind(made);
    },
    "responses, structured": async (base) => {
      const text = { format: zodTextFormat(Weather, "weather") };
      const made = await api(base).responses.parse({ model, input: QUESTION, text });
      weather(made.output_parsed);
      return kind(made);
    },
    completions: async (base) => {
      const ask = { model: MODELS[provider].completions, prompt: QUESTION, max_tokens: 200 };
      const made = await api(base).completions.create(ask);
      whole(made.choices[0].text.trim());
      return kind(made);
    },
    "completions, streamed": async (base) => {
      let text = "";
      let chunk;
      const model = MODELS[provider].completions;
      const ask = { model, prompt: QUESTION, max_tokens: 200, stream: true };
      for await (chunk of await api(base).completions.create(ask)) {
        text += chunk.choices[0]?.text ?? "";
      }
      whole(text.trim());
      return "text_completion";
    },
    "embeddings, base64": async (base) => {
      // The SDK asks for base64 by itself and decodes it.
      const ask = { model: EMBEDDING_MODEL, input: [QUESTION, "Another."] };
      const made = await api(base).embeddings.create(ask);
      check(made.data.length === 2 && made.data[0].embedding.length === 1536, made.object);
      unit(made.data[0].embedding);
      return `${kind(made)} of ${made.data[0].object}`;
    },
    "embeddings, float": async (base) => {
      const ask = { model: EMBEDDING_MODEL, input: QUESTION, dimensions: 256 };
      const made = await api(base).embeddings.create({ ...ask, encoding_format: "float" });
      check(made.data[0].embedding.length === 256, made.object);
      unit(made.data[0].embedding);
      return `${kind(made)} of ${made.data[0].object}`;
    },
    models: async (base) => {
      const made = await api(base).models.list();
      check(made.data.length > 0, made);
      return kind(made.data[0]) ?? "model";
    },
  };
  const isUnknown = {
    openai: () => false,
    azure: (name) => name === "models",
    openrouter: (name) => !/^(chat|models)/.test(name) || name === "chat, n = 2",
  }[provider];
  return Object.fromEntries(Object.entries(table).filter(([name]) => !isUnknown(name)));
}

const providers = Object.keys(MODELS).map((provider) => [provider, successes(provider)]);
await drive(call, Object.fromEntries(providers), describe);
