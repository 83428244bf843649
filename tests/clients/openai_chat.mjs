// One chat completion with the official OpenAI SDK for Node and its defaults.
import OpenAI from "openai";

const client = new OpenAI();
const request = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Say hello." }] };
if (process.argv.includes("--stream")) {
  const stream = await client.chat.completions.create({ ...request, stream: true });
  for await (const chunk of stream) {
    process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
  }
  console.log();
} else {
  const answer = await client.chat.completions.create(request);
  console.log(answer.choices[0].message.content);
}
