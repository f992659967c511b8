// The official OpenAI SDK for JavaScript through the gateway: Chat Completions and Responses, errors, models.
import OpenAI from "openai";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

const { ANSWERS, GATEWAY_URL, CLIENT_KEY, FAMILIES } = process.env;
const answers = JSON.parse(readFileSync(ANSWERS, "utf8"));
const TEXT = "Hello, w\u00f6rld \u{1f642} done";
const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const messages = [{ role: "user", content: "hi" }];
let checks = 0;

function check(what, condition) {
  checks += 1;
  if (!condition) {
    console.error("openai.mjs:", JSON.stringify(what));
    process.exit(1);
  }
}

async function raises(kind, call) {
  try {
    await call();
  } catch (error) {
    check([kind.name, String(error)], error instanceof kind);
    return error;
  }
  check(`no ${kind.name}`, false);
}

async function all(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

const client = new OpenAI({ baseURL: `${GATEWAY_URL}/v1`, apiKey: CLIENT_KEY, maxRetries: 0 });
const complete = (model, more = {}) => client.chat.completions.create({ model, messages, ...more });
const respond = (model, more = {}) => client.responses.create({ model, input: "hi", ...more });

const randomTools = ["read", "write"].map((name) => ({ type: "function", name, parameters: { type: "object" }, strict: false }));
const randomChatTools = randomTools.map(({ name, parameters }) => ({ type: "function", function: { name, parameters } }));

// What a client heard, as answers.py says it.
function heardChat({ choices: [{ message, finish_reason }], usage }) {
  return {
    text: message.content ?? "",
    calls: (message.tool_calls ?? []).map(({ id, function: { name, arguments: json } }) => ({ id, name, arguments: JSON.parse(json) })),
    cut: finish_reason === "length",
    usage: [usage.prompt_tokens, usage.prompt_tokens_details?.cached_tokens ?? 0, usage.completion_tokens],
  };
}

function heardResponses({ output, status, usage }) {
  const of = (type) => output.filter((item) => item.type === type);
  return {
    thought: of("reasoning").flatMap((item) => item.summary.map((part) => part.text)).join(""),
    text: of("message").flatMap((item) => item.content.map((part) => part.text)).join(""),
    calls: of("function_call").map(({ call_id, name, arguments: json }) => ({ id: call_id, name, arguments: JSON.parse(json) })),
    cut: status === "incomplete",
    usage: [usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens],
  };
}

// A Chat client hears two messages with an empty line between them.
const flat = (said) => ({ ...said, text: said.text.replaceAll("\n", "") });

for (const family of FAMILIES.split(" ")) {
  for (const [seed, answer] of answers.entries()) {
    const about = [{ role: "user", content: `seed ${seed}` }];
    const model = `${family}-random`;
    const request = { model, messages: about, tools: randomChatTools, stream_options: { include_usage: true } };
    const runner = client.chat.completions.stream(request);
    let last;
    let thought = "";
    runner.on("chunk", (chunk, snapshot) => {
      last = snapshot;
      thought += chunk.choices[0]?.delta.reasoning_content ?? ""; // the SDK joins only members it knows
    });
    await runner.done();
    let heard = { ...heardChat(last), thought };
    check([model, seed, heard, answer], isDeepStrictEqual(flat(heard), flat(answer)));
    heard = heardResponses(await client.responses.stream({ model, input: about, tools: randomTools }).finalResponse());
    check([model, seed, heard, answer], isDeepStrictEqual(flat(heard), flat(answer)));
  }
}

for (const family of FAMILIES.split(" ")) {
  const name = (scenario) => `${family}-${scenario}`;

  let answer = await complete(name("hello"));
  check([family, answer], answer.choices[0].message.content === TEXT && answer.choices[0].finish_reason === "stop");
  check([family, answer.usage], answer.usage.prompt_tokens === 11 && answer.usage.completion_tokens === 7);
  let chunks = await all(complete(name("hello"), { stream: true, stream_options: { include_usage: true } }));
  check([family, chunks], chunks.map((c) => c.choices[0]?.delta.content ?? "").join("") === TEXT);
  check([family, chunks.at(-1)], chunks.at(-1).usage?.total_tokens === 18);
  let tools = [{ type: "function", function: { name: "get_weather", parameters: PARAMETERS } }];
  answer = await complete(name("tool"), { tools });
  const call = answer.choices[0].message.tool_calls[0];
  check([family, call], call.function.name === "get_weather" && JSON.parse(call.function.arguments).city === "Paris");
  chunks = await all(complete(name("tool"), { tools, stream: true }));
  const parts = chunks.flatMap((c) => c.choices[0]?.delta.tool_calls ?? []);
  check([family, parts], JSON.parse(parts.map((p) => p.function.arguments ?? "").join("")).city === "Paris");
  const runner = client.chat.completions.stream({ model: name("hello"), messages });
  check([family, "stream"], (await runner.finalContent()) === TEXT);
  await raises(Error, () => all(complete(name("cut"), { stream: true })));

  answer = await respond(name("hello"));
  check([family, answer], answer.output_text === TEXT && answer.usage.total_tokens === 18);
  const events = await all(respond(name("hello"), { stream: true }));
  check([family, events], events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta).join("") === TEXT);
  check([family, events], events.at(-1).type === "response.completed");
  const final = await client.responses.stream({ model: name("hello"), input: "hi" }).finalResponse();
  check([family, final], final.output_text === TEXT);
  tools = [{ type: "function", name: "get_weather", parameters: PARAMETERS, strict: true }];
  answer = await respond(name("tool"), { tools });
  const calls = answer.output.filter((item) => item.type === "function_call");
  check([family, calls], calls.length === 1 && JSON.parse(calls[0].arguments).city === "Paris");

  for (const ask of [complete, respond]) {
    const error = await raises(OpenAI.BadRequestError, () => ask(name("e400")));
    check([family, error.message], error.message.includes("the temperature is too high"));
    await raises(OpenAI.BadRequestError, () => ask(name("e400"), { stream: true }));
    await raises(OpenAI.AuthenticationError, () => ask(name("e401")));
    await raises(OpenAI.NotFoundError, () => ask(name("e404")));
    await raises(OpenAI.InternalServerError, () => ask(name("e500")));
  }
  const start = performance.now();
  answer = await client.chat.completions.create({ model: name("e429"), messages }, { maxRetries: 2 });
  check([family, "retry"], answer.choices[0].message.content === TEXT && performance.now() - start > 950);
}

const unknown = await raises(OpenAI.NotFoundError, () => complete("native-hallo"));
check(unknown.message, unknown.code === "model_not_found" && unknown.message.includes("native-hello"));
const wrong = new OpenAI({ baseURL: `${GATEWAY_URL}/v1`, apiKey: "sk-wrong", maxRetries: 0 });
const refused = await raises(OpenAI.AuthenticationError, () => wrong.chat.completions.create({ model: "native-hello", messages }));
check(refused.message, Boolean(refused.requestID));
const ids = (await all(client.models.list())).map((model) => model.id);
check(ids, ids.includes("native-hello") && ids.includes("messages-tool"));
const { version } = JSON.parse(readFileSync("node_modules/openai/package.json", "utf8"));
console.log(`openai ${version} (node): ${checks} checks`);
