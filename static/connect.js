// Connect a client: the exact lines to paste, with this page's address, the chosen alias and the chosen key.

const shell = (text) => `'${text.replace(/'/g, `'\\''`)}'`;
const quoted = (text) => JSON.stringify(text).replace(/\u007f/g, '\\u007f');

/** Keys made while this page is open, by name: the only time that they are known here. */
const freshKeys = new Map();

const openaiBase = () => `${home.href.replace(/#.*$/, '')}v1`;
const anthropicBase = () => home.href.replace(/\/$/, '');

/** Client → {label, about, text(model, key)}. All speak to the gateway as documented by their makers. */
const CLIENTS = {
  curl: { label: 'curl', text: (model, key) => [`curl ${shell(`${openaiBase()}/chat/completions`)}`, `-H ${shell(`Authorization: Bearer ${key}`)}`, "-H 'Content-Type: application/json'",
    `-d ${shell(JSON.stringify({ model, messages: [{ role: 'user', content: 'Say hello' }] }))}`].join(' \\\n  ') },
  openai_python: { label: 'OpenAI Python', about: 'pip install openai', text: (model, key) => `from openai import OpenAI\n
client = OpenAI(base_url=${quoted(openaiBase())}, api_key=${quoted(key)})
answer = client.chat.completions.create(
\x20   model=${quoted(model)},
\x20   messages=[{"role": "user", "content": "Say hello"}],
)
print(answer.choices[0].message.content)` },
  openai_node: { label: 'OpenAI Node', about: 'npm install openai', text: (model, key) => `import OpenAI from "openai";\n
const client = new OpenAI({ baseURL: ${quoted(openaiBase())}, apiKey: ${quoted(key)} });
const answer = await client.responses.create({ model: ${quoted(model)}, input: "Say hello" });
console.log(answer.output_text);` },
  anthropic_python: { label: 'Anthropic Python', about: 'pip install anthropic', text: (model, key) => `from anthropic import Anthropic\n
client = Anthropic(base_url=${quoted(anthropicBase())}, api_key=${quoted(key)})
answer = client.messages.create(
\x20   model=${quoted(model)},
\x20   max_tokens=1024,
    messages=[{"role": "user", "content": "Say hello"}],
)
print("".join(block.text for block in answer.content if block.type == "text"))` },
  claude_code: { label: 'Claude Code', text: (model, key) => `export ANTHROPIC_BASE_URL=${shell(anthropicBase())}
export ANTHROPIC_AUTH_TOKEN=${shell(key)}
export ANTHROPIC_MODEL=${shell(model)}
export ANTHROPIC_DEFAULT_HAIKU_MODEL=${shell(model)}
claude` },
  codex: { label: 'Codex CLI', about: '~/.codex/config.toml', text: (model) => `model = ${quoted(model)}
model_provider = "llm-wrapper"\n
[model_providers.llm-wrapper]
name = "llm-wrapper"
base_url = ${quoted(openaiBase())}
wire_api = "responses"
env_key = "LLM_WRAPPER_KEY"`, after: (key) => `LLM_WRAPPER_KEY=${shell(key)} codex` },
  vercel: { label: 'Vercel AI SDK', about: 'npm install ai @ai-sdk/openai', text: (model, key) => `import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";\n
const gateway = createOpenAI({ baseURL: ${quoted(openaiBase())}, apiKey: ${quoted(key)} });
const { text } = await generateText({ model: gateway(${quoted(model)}), prompt: "Say hello" });
console.log(text);` },
  opencode: { label: 'opencode', about: 'opencode.json', text: (model, key) => JSON.stringify({
    $schema: 'https://opencode.ai/config.json',
    provider: { 'llm-wrapper': { npm: '@ai-sdk/openai-compatible', name: 'llm-wrapper', options: { baseURL: openaiBase(), apiKey: key }, models: { [model]: { name: model } } } },
    model: `llm-wrapper/${model}`,
  }, null, 2) },
};

/** What stands for a key: itself while it is fresh, else a word that says which one to paste. */
function keyText(name) {
  if (!state.config.client_api_keys.length) return 'unused';
  if (freshKeys.has(name)) return freshKeys.get(name);
  return `PASTE-KEY-${(name ?? '').replace(/[^A-Za-z0-9_.-]+/g, '-').slice(0, 40)}`;
}

actions.connect = (button) => {
  const callable = state.config.aliases.filter((alias) => upstreamOf(alias.upstream)?.enabled !== false);
  const names = state.config.client_api_keys.map((key) => key.name);
  const fresh = names.find((name) => freshKeys.has(name));
  open('connect', { model: button.dataset.name || callable[0]?.alias || '', client: stored('client') in CLIENTS ? stored('client') : 'claude_code', key: button.dataset.more || fresh || names[0] || '' });
};
actions['connect-client'] = (button) => {
  const dialog = dialogOf(button);
  dialog.client = button.dataset.name;
  store('client', dialog.client);
  schedule();
};

dialogViews.connect = (dialog) => {
  const client = CLIENTS[dialog.client];
  const keys = state.config.client_api_keys;
  const secret = keyText(dialog.key);
  const block = (text, id) => html`<div class="snippet"><pre tabindex="0" id="${id}" aria-label="${client.label}"><code>${text}</code></pre>${copyButton(text, t('copy'), 'small')}</div>`;
  return modal(dialog, {
    title: t('connect'),
    look: 'wide',
    submit: 'connect',
    body: html`<div class="grid two">${field({ bind: 'dialog.model', label: t('model'), value: dialog.model, options: state.config.aliases.filter((alias) => upstreamOf(alias.upstream)?.enabled !== false).map((alias) => [alias.alias, alias.alias]) })}
      ${keys.length > 0 && field({ bind: 'dialog.key', label: t('client_key'), value: dialog.key, options: keys.map((key) => [key.name, key.name]) })}</div>
      <div class="tabs" role="group" aria-label="${t('client')}">${Object.entries(CLIENTS).map(([id, { label }]) => html`<button type="button" aria-pressed="${id === dialog.client ? 'true' : 'false'}" data-action="connect-client" data-name="${id}" id="client-${id}">${label}</button>`)}</div>
      ${client.about && html`<p class="soft"><code>${client.about}</code></p>`}
      ${block(client.text(dialog.model, secret), 'snippet')}
      ${client.after && block(client.after(secret), 'snippet-after')}
      <p class="soft">${!keys.length ? t('connect_no_keys') : freshKeys.has(dialog.key) ? t('connect_fresh') : t('connect_paste', { key: secret, name: dialog.key })}${['127.0.0.1', 'localhost', '[::1]'].includes(home.hostname) && html` ${t('connect_loopback', { host: home.host })}`}</p>`,
  });
};
submits.connect = () => {};
