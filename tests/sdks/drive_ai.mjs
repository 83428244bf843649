// Drives ai with @ai-sdk/openai: against OpenAI. SDK and PROVIDER name the packages, of several
// versions under several names.
import { CASE_HEADER, QUESTION, TOOL_ABOUT, TOOL_NAME, Weather } from "./driver.mjs";
import { check, drive, unit, weather, whole } from "./driver.mjs";

const ai = await import(process.env.SDK ?? "ai");
const { createOpenAI } = await import(process.env.PROVIDER ?? "@ai-sdk/openai");

const MODELS = {
  chat: "gpt-4o-mini",
  responses: "gpt-4o-mini",
  completion: "gpt-3.5-turbo-instruct",
  embedding: "text-embedding-3-small",
};

function provider(base, id) {
  return createOpenAI({
    baseURL: `${base}/v1`,
    apiKey: "sk-brownout-example-key",
    headers: id ? { [CASE_HEADER]: id } : {},
  });
}

function modelOf(base, route, id) {
  const openai = provider(base, id);
  const name = route === "completions" ? "completion" : route;
  return openai[name](MODELS[name]);
}

// Errors of a stream are parts of it; the SDK throws them only to who asks for the text.
async function readAll(result) {
  let text = "";
  let finish = null;
  let usage;
  for await (const part of result.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") text += part.text;
    if (part.type === "finish") {
      finish = part.finishReason;
      usage = part.totalUsage;
    }
  }
  return { text, finish, usage };
}

async function call(base, { route: name, stream, id }) {
  const route = name.split(".")[1];
  if (route === "embeddings") {
    const model = provider(base, id).embedding(MODELS.embedding);
    await ai.embed({ model, value: QUESTION, maxRetries: 0 });
    return ["embedding", null];
  }
  const ask = { model: modelOf(base, route, id), prompt: QUESTION, maxRetries: 0 };
  if (stream) {
    const { finish } = await readAll(ai.streamText({ ...ask, onError: () => {} }));
    return ["text stream", finish];
  }
  const made = await ai.generateText(ask);
  return ["text", made.finishReason];
}

function describe(raised) {
  const said = raised?.data?.error ?? raised?.error ?? {};
  return {
    status: raised?.statusCode,
    code: said.code ?? raised?.code,
    type: said.type ?? raised?.type,
    request_id: raised?.responseHeaders?.["x-request-id"],
    official: ai.AISDKError.isInstance(raised),
  };
}

const tools = {
  [TOOL_NAME]: ai.tool({ description: TOOL_ABOUT, inputSchema: Weather }),
};

function successesOf(route) {
  const ask = (base) => ({ model: modelOf(base, route), prompt: QUESTION, maxRetries: 0 });
  const all = {
    [route]: async (base) => {
      const made = await ai.generateText(ask(base));
      whole(made.text.trim());
      check(made.finishReason === "stop" && made.usage.outputTokens > 0, made.usage);
      return "text";
    },
    [`${route}, streamed`]: async (base) => {
      const { text, finish, usage } = await readAll(ai.streamText(ask(base)));
      whole(text.trim());
      check(finish === "stop" && usage.outputTokens > 0, usage);
      return "text stream";
    },
    [`${route} with a tool`]: async (base) => {
      const made = await ai.generateText({ ...ask(base), tools, toolChoice: "required" });
      const [toolCall] = made.toolCalls;
      check(toolCall.toolName === TOOL_NAME && made.finishReason === "tool-calls", toolCall);
      weather(toolCall.input);
      return "tool call";
    },
    [`${route} with a tool, streamed`]: async (base) => {
      const result = ai.streamText({ ...ask(base), tools, toolChoice: "required" });
      await readAll(result);
      const [toolCall] = await result.toolCalls;
      check(toolCall.toolName === TOOL_NAME, toolCall);
      weather(toolCall.input);
      return "tool call";
    },
    [`${route}, structured`]: async (base) => {
      const output = ai.Output.object({ schema: Weather });
      const made = await ai.generateText({ ...ask(base), output });
      weather(made.output);
      return "object";
    },
  };
  return all;
}

const successes = {
  ...successesOf("chat"),
  ...successesOf("responses"),
  completions: async (base) => {
    const model = modelOf(base, "completions");
    const made = await ai.generateText({ model, prompt: QUESTION, maxRetries: 0, maxOutputTokens: 200 });
    whole(made.text.trim());
    return "text";
  },
  embeddings: async (base) => {
    const model = provider(base).embedding(MODELS.embedding);
    const made = await ai.embedMany({ model, values: [QUESTION, "Another."], maxRetries: 0 });
    check(made.embeddings.length === 2 && made.embeddings[0].length === 1536, "two embeddings");
    unit(made.embeddings[0]);
    return "embeddings";
  },
};

await drive(call, { openai: successes }, describe);
