// The Vercel AI SDK through the gateway: its readers of converted streams are the strictest there are. Each scenario in each of
// its three providers, on each upstream of another protocol.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { z } from "zod";

globalThis.AI_SDK_LOG_WARNINGS = false; // of model names that it does not know
const { GATEWAY_URL, UPSTREAM_URL, CLIENT_KEY, ONLY = "" } = process.env;
const openai = createOpenAI({ baseURL: `${GATEWAY_URL}/v1`, apiKey: CLIENT_KEY });
const anthropic = createAnthropic({ baseURL: `${GATEWAY_URL}/v1`, apiKey: CLIENT_KEY });
const PROVIDERS = {
  chat: [(model) => openai.chat(model), ["messages", "responses"]],
  responses: [(model) => openai.responses(model), ["chat", "messages", "deepseek"]],
  anthropic: [(model) => anthropic(model), ["chat", "responses", "deepseek"]],
};
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const shape = z.object({ city: z.string(), nonce: z.string() });

function stage(scenario) {
  const nonce = randomUUID().slice(0, 8);
  const record = async () => (await fetch(`${UPSTREAM_URL}/record/${nonce}`)).json();
  return { nonce, prompt: `Please. RUN=${scenario}.${nonce} DIR=/nowhere`, final: `All is done. FINAL-${nonce} \u2713`, record };
}

async function clean(play, answers) {
  const record = await play.record();
  assert.deepEqual(record.flatMap((kept) => kept.problems), []);
  assert.deepEqual(record.map((kept) => kept.answer), answers);
  return record;
}

// All parts of a stream; an error in it is thrown.
async function parts(result) {
  const found = [];
  for await (const part of result.fullStream) {
    if (part.type === "error") throw part.error;
    found.push(part);
  }
  return found;
}

const quiet = { onError() {} };
const SCENARIOS = {
  async text(model) {
    const play = stage("hello");
    const result = streamText({ model, prompt: play.prompt, system: "Be brief.", ...quiet });
    const found = await parts(result);
    assert.equal(found.filter((part) => part.type === "text-delta").map((part) => part.text).join(""), play.final);
    assert.equal(await result.finishReason, "stop");
    const usage = await result.usage;
    assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.inputTokenDetails.cacheReadTokens], [1200, 40, 1000]);
    const whole = await generateText({ model, prompt: stage("hello").prompt });
    assert.match(whole.text, /^All is done\. FINAL-/);
    assert.deepEqual([whole.usage.inputTokens, whole.usage.outputTokens], [1200, 40]);
    await clean(play, ["reply"]);
  },
  // Three steps' worth of history: the provider of Responses refers to earlier items by id instead of sending them.
  async steps(model) {
    for (const scenario of ["weather", "thinking"]) {
      const play = stage(scenario);
      const result = streamText({ model, prompt: play.prompt, tools: { get_weather: weather }, stopWhen: isStepCount(4), ...quiet });
      const found = await parts(result);
      assert.deepEqual(found.filter((part) => part.type === "tool-call").map((part) => part.input.city), ["Paris", "K\u00f6ln"]);
    assert.equal(await result.text, play.final);
      const steps = await result.steps;
      assert.deepEqual(steps.map((step) => step.finishReason), ["tool-calls", "stop"]);
      const record = await clean(play, ["reply", "reply"]);
      const kinds = record[1].turns.map((turn) => turn[0]).filter((kind) => kind !== "proof");
      assert.deepEqual(kinds, ["user", "assistant", "call", "call", "result", "result"]);
      // And the conversation goes on with all of it as history.
      const { messages } = await result.response;
      const more = await generateText({
        model, tools: { get_weather: weather },
        messages: [{ role: "user", content: play.prompt }, ...messages, { role: "user", content: `again RUN=hello.${play.nonce} DIR=/nowhere` }],
      });
      assert.equal(more.text, play.final);
    }
  },
  async object(model, family, provider) {
    const play = stage("object");
    if (family === "deepseek" && provider !== "anthropic") {
      // It has no schemas, and the client insists on a promise: said before anything is sent.
      const told = (error) => error.statusCode === 400 && /promises no schema/.test(error.message);
      return assert.rejects(generateText({ model, prompt: play.prompt, output: Output.object({ schema: shape }) }), told);
    }
    const whole = await generateText({ model, prompt: play.prompt, output: Output.object({ schema: shape }) });
    assert.deepEqual(whole.output, { city: "Paris", nonce: play.nonce });
    const again = stage("object");
    const streamed = streamText({ model, prompt: again.prompt, output: Output.object({ schema: shape }), ...quiet });
    await parts(streamed);
    assert.deepEqual(await streamed.output, { city: "Paris", nonce: again.nonce });
    await clean(again, ["reply"]);
  },
  async errors(model) {
    const play = stage("refused");
    const told = (error) => {
      assert.equal(error.statusCode, 400, String(error));
      assert.match(error.message, new RegExp(`the scripted refusal of ${play.nonce}`));
      return true;
    };
    await assert.rejects(generateText({ model, prompt: play.prompt }), told);
    await assert.rejects(parts(streamText({ model, prompt: play.prompt, ...quiet })), told);
    const limited = stage("limited");
    const start = performance.now();
    assert.equal((await generateText({ model, prompt: `${limited.prompt}`, tools: { write_file: weather }, maxRetries: 2 })).finishReason, "tool-calls");
    assert.ok(performance.now() - start > 950, "retry-after did not arrive");
    await clean(limited, [429, "reply"]);
  },
  // However the upstream breaks off, the text so far is no answer.
  async broken(model) {
    const play = stage("broken");
    for (const way of ["with the connection", "politely"]) {
      const result = streamText({ model, prompt: play.prompt, maxRetries: 0, ...quiet });
      let reason = "thrown";
      try {
        await parts(result);
        reason = await result.finishReason;
      } catch (error) {
        assert.ok(error instanceof Error || typeof error === "object", String(error));
      }
      assert.ok(["thrown", "error", "other", "unknown"].includes(reason), `${way}: finished with ${reason}`);
    }
    await clean(play, ["cut", "cut politely"]);
  },
};

let failed = 0;
for (const [provider, [make, families]] of Object.entries(PROVIDERS)) {
  for (const family of families) {
    for (const [name, play] of Object.entries(SCENARIOS)) {
      const title = `vercel: ${provider} on ${family} ${name}`;
      if (!title.includes(ONLY)) continue;
      const start = performance.now();
      let failure = "";
      try {
        await play(make(`any-${family}`), family, provider);
      } catch (error) {
        failed += 1;
        failure = `\n     ${String(error.stack ?? error).slice(0, 1500)}`;
      }
      const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(5);
      console.log(`${failure ? "FAIL" : "ok  "} ${seconds} s  ${title}${failure}`);
    }
  }
}
process.exit(failed ? 1 : 0);
