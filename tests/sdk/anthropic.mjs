// The official Anthropic SDK for JavaScript through the gateway: Messages, errors, models.
import Anthropic from "@anthropic-ai/sdk";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

const { ANSWERS, GATEWAY_URL, CLIENT_KEY, FAMILIES } = process.env;
const answers = JSON.parse(readFileSync(ANSWERS, "utf8"));
const TEXT = "Hello, w\u00f6rld \u{1f642} done";
const tools = [
  { name: "get_weather", description: "the weather", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
];
const messages = [{ role: "user", content: "hi" }];
let checks = 0;

function check(what, condition) {
  checks += 1;
  if (!condition) {
    console.error("anthropic.mjs:", JSON.stringify(what));
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

const client = new Anthropic({ baseURL: GATEWAY_URL, apiKey: CLIENT_KEY, maxRetries: 0 });
const create = (model, more = {}) => client.messages.create({ model, max_tokens: 100, messages, ...more });

const randomTools = ["read", "write"].map((name) => ({ name, input_schema: { type: "object" } }));

// What a client heard, as answers.py says it.
function heard({ content, stop_reason, usage }) {
  const of = (type) => content.filter((block) => block.type === type);
  const cached = usage.cache_read_input_tokens ?? 0;
  return {
    thought: of("thinking").map((block) => block.thinking).join(""),
    text: of("text").map((block) => block.text).join(""),
    calls: of("tool_use").map(({ id, name, input }) => ({ id, name, arguments: input })),
    cut: stop_reason === "max_tokens",
    usage: [usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0), cached, usage.output_tokens],
  };
}

for (const family of FAMILIES.split(" ")) {
  for (const [seed, answer] of answers.entries()) {
    const about = [{ role: "user", content: `seed ${seed}` }];
    const model = `${family}-random`;
    const final = heard(await client.messages.stream({ model, max_tokens: 100, messages: about, tools: randomTools }).finalMessage());
    check([model, seed, final, answer], isDeepStrictEqual(final, answer));
  }
}

for (const family of FAMILIES.split(" ")) {
  const name = (scenario) => `${family}-${scenario}`;
  let answer = await create(name("hello"));
  check([family, answer], answer.content[0].text === TEXT && answer.stop_reason === "end_turn");
  check([family, answer.usage], answer.usage.input_tokens === 11 && answer.usage.output_tokens === 7);
  let final = await client.messages.stream({ model: name("hello"), max_tokens: 100, messages }).finalMessage();
  check([family, final], final.content[0].text === TEXT && final.stop_reason === "end_turn");
  const events = await all(create(name("hello"), { stream: true }));
  check([family, events], events[0].type === "message_start" && events.at(-1).type === "message_stop");
  answer = await create(name("tool"), { tools });
  check([family, answer], answer.content[0].input.city === "Paris" && answer.stop_reason === "tool_use");
  final = await client.messages.stream({ model: name("tool"), max_tokens: 100, messages, tools }).finalMessage();
  check([family, final], final.content[0].input.city === "Paris" && final.stop_reason === "tool_use");
  await raises(Error, () => all(create(name("cut"), { stream: true })));

  const error = await raises(Anthropic.BadRequestError, () => create(name("e400")));
  check([family, error.message], error.message.includes("the temperature is too high"));
  await raises(Anthropic.BadRequestError, () => create(name("e400"), { stream: true }));
  await raises(Anthropic.AuthenticationError, () => create(name("e401")));
  await raises(Anthropic.NotFoundError, () => create(name("e404")));
  await raises(Anthropic.InternalServerError, () => create(name("e500")));
  const start = performance.now();
  answer = await client.messages.create({ model: name("e429"), max_tokens: 100, messages }, { maxRetries: 2 });
  check([family, "retry"], answer.content[0].text === TEXT && performance.now() - start > 950);
}

const unknown = await raises(Anthropic.NotFoundError, () => create("native-hallo"));
check(unknown.message, unknown.message.includes("native-hello"));
const wrong = new Anthropic({ baseURL: GATEWAY_URL, apiKey: "sk-wrong", maxRetries: 0 });
await raises(Anthropic.AuthenticationError, () => wrong.messages.create({ model: "native-hello", max_tokens: 1, messages }));
const ids = (await all(client.models.list({ limit: 5 }))).map((model) => model.id);
check(ids, ids.includes("native-hello") && ids.includes("messages-tool"));
const { version } = JSON.parse(readFileSync("node_modules/@anthropic-ai/sdk/package.json", "utf8"));
console.log(`anthropic ${version} (node): ${checks} checks`);
