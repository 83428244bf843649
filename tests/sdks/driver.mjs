// What the Node drivers have in common; `driver.py` says what a task is.
import { readFileSync } from "node:fs";
import { z } from "zod";

export const QUESTION = "Why is the sky blue?";
export const CASE_HEADER = "x-brownout-case";
export const TOOL_NAME = "look_up_weather";
export const TOOL_ABOUT = "Tells the weather of a city.";
export const TOOL_SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};

// What a structured answer is parsed into.
export const Weather = z.object({ city: z.string(), days: z.number().int() });

export function check(holds, what) {
  if (!holds) throw new Error(`not so: ${typeof what === "string" ? what : JSON.stringify(what)}`);
}

// The first and the last word of every answer end with the name of the attempt.
export function whole(text) {
  check(/^Ax([A-Za-z]+)\b.*\bZx\1$/s.test(text), `the text is whole: ${JSON.stringify(text)}`);
}

export function weather(value) {
  check(Weather.safeParse(value).success, value);
}

export function unit(vector) {
  const square = vector.reduce((sum, number) => sum + number * number, 0);
  check(square > 0.99 && square < 1.01, vector.slice(0, 4));
}

function say(told) {
  console.log(JSON.stringify(told));
}

// `call(base, failure)` makes the call of a failure and returns what it parsed and how that ended;
// `successes[provider]` is a table of calls, each returning what kind of answer it parsed;
// `describe` tells status, code and request id of an error, and whether it is the SDK's own.
export async function drive(call, successes, describe) {
  const task = JSON.parse(readFileSync(0, "utf8"));
  for (const failure of task.failures) {
    const told = { id: failure.id, route: failure.route, stream: failure.stream };
    try {
      const [parsed, finish] = await call(task.base, failure);
      Object.assign(told, { parsed, finish });
    } catch (raised) {
      const message = raised?.message ?? String(raised);
      Object.assign(told, { raised: raised?.constructor?.name, message }, describe(raised));
    }
    say(told);
  }
  for (const provider of task.successes) {
    for (const [name, succeed] of Object.entries(successes[provider])) {
      const told = { success: name, provider };
      try {
        told.parsed = await succeed(task.base);
      } catch (raised) {
        told.failed = `${raised?.constructor?.name}: ${raised?.message}`;
      }
      say(told);
    }
  }
}
