// One message with the official Anthropic SDK for Node and its defaults.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();
const request = {
  model: "claude-haiku-4-5",
  max_tokens: 500,
  messages: [{ role: "user", content: "Say hello." }],
};
if (process.argv.includes("--stream")) {
  for await (const event of client.messages.stream(request)) {
    if (event.type === "content_block_delta") {
      process.stdout.write(event.delta.text);
    }
  }
  console.log();
} else {
  const answer = await client.messages.create(request);
  console.log(answer.content[0].text);
}
