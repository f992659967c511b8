// Connect a client: the exact lines to paste, with this page's address, the chosen alias and the chosen key.

const shell = text => `'${text.replace(/'/g, `'\\''`)}'`;
const quoted = text => JSON.stringify(text).replace(/\u007f/g, '\\u007f');
const lines = (...parts) => parts.join(' \\\n  ');

/** Keys made while this page is open, by name: the only time that they are known here. */
const freshKeys = new Map();

const openaiBase = `${home.href.replace(/#.*$/, '')}v1`;
const anthropicBase = home.href.replace(/\/$/, '');
const python = (module, base, call) => (model, key) => `from ${module.toLowerCase()} import ${module}

client = ${module}(base_url=${quoted(base)}, api_key=${quoted(key)})
answer = client.${call.replace('MODEL', () => quoted(model))}`;
const HELLO = 'messages=[{"role": "user", "content": "Say hello"}],\n)';

/** Client → {about, text(model, key), after(key)}. All speak to the gateway as documented by their makers. */
const CLIENTS = {
  curl: { text: (model, key) => lines(`curl ${shell(`${openaiBase}/chat/completions`)}`, `-H ${shell(`Authorization: Bearer ${key}`)}`, "-H 'Content-Type: application/json'",
    `-d ${shell(JSON.stringify({ model, messages: [{ role: 'user', content: 'Say hello' }] }))}`) },
  'OpenAI Python': { about: 'pip install openai', text: python('OpenAI', openaiBase, `chat.completions.create(
    model=MODEL,
    ${HELLO}
print(answer.choices[0].message.content)`) },
  'OpenAI Node': { about: 'npm install openai', text: (model, key) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: ${quoted(openaiBase)}, apiKey: ${quoted(key)} });
const answer = await client.responses.create({ model: ${quoted(model)}, input: "Say hello" });
console.log(answer.output_text);` },
  'Anthropic Python': { about: 'pip install anthropic', text: python('Anthropic', anthropicBase, `messages.create(
    model=MODEL,
    max_tokens=1024,
    ${HELLO}
print("".join(block.text for block in answer.content if block.type == "text"))`) },
  'Claude Code': { text: (model, key) => `export ANTHROPIC_BASE_URL=${shell(anthropicBase)}
export ANTHROPIC_AUTH_TOKEN=${shell(key)}
export ANTHROPIC_MODEL=${shell(model)}
export ANTHROPIC_DEFAULT_HAIKU_MODEL=${shell(model)}
claude` },
  'Codex CLI': { about: '~/.codex/config.toml', text: model => `model = ${quoted(model)}
model_provider = "llm-wrapper"

[model_providers.llm-wrapper]
name = "llm-wrapper"
base_url = ${quoted(openaiBase)}
wire_api = "responses"
env_key = "LLM_WRAPPER_KEY"`, after: key => `LLM_WRAPPER_KEY=${shell(key)} codex` },
  'Vercel AI SDK': { about: 'npm install ai @ai-sdk/openai', text: (model, key) => `import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";

const gateway = createOpenAI({ baseURL: ${quoted(openaiBase)}, apiKey: ${quoted(key)} });
const { text } = await generateText({ model: gateway(${quoted(model)}), prompt: "Say hello" });
console.log(text);` },
  opencode: { about: 'opencode.json', text: (model, key) => JSON.stringify({
    $schema: 'https://opencode.ai/config.json',
    provider: { 'llm-wrapper': { npm: '@ai-sdk/openai-compatible', name: 'llm-wrapper', options: { baseURL: openaiBase, apiKey: key }, models: { [model]: { name: model } } } },
    model: `llm-wrapper/${model}`,
  }, null, 2) },
};

/** What stands for a key: itself while it is fresh, else a word that says which one to paste. */
const keyText = name => {
  if (!clientKeys().length) return 'unused';
  return freshKeys.get(name) ?? `PASTE-KEY-${(name ?? '').replace(/[^A-Za-z0-9_.-]+/g, '-').slice(0, 40)}`;
};

actions.connect = ({ name, more }) => {
  const names = clientKeys().map(({ name }) => name);
  open('connect', { client: stored('client') in CLIENTS ? stored('client') : 'Claude Code', draft: { model: name || callable()[0]?.[0], client_key: more || (names.find(name => freshKeys.has(name)) ?? names[0]) } }).untouched = '';
};
actions.choose_client = ({ name }, dialog) => {
  dialog.client = name;
  store('client', name);
};

views.connect = ({ client, draft: { model, client_key: key } }) => {
  const { about, text, after } = CLIENTS[client];
  const keys = clientKeys();
  const secret = keyText(key);
  return modal(t('connect'), html`${div('two', field('model', { options: callable() }), keys.length > 0 && field('client_key', { options: keys.map(({ name }) => [name, name]) }))}
    <div class="tabs" role="group" aria-label="${t('client')}">${Object.keys(CLIENTS).map(name => button('choose_client', { label: name, name, on: name === client }))}</div>
    ${about && soft(code(about))}${snippet(text(model, secret), client, 'snippet')}${after && snippet(after(secret), client)}
    ${soft([!keys.length ? t('any_key') : freshKeys.has(key) ? t('fresh_key') : t('paste_key', key, secret), ' ', /^(127\.|localhost|\[::1)/.test(home.host) && t('loopback', home.host)])}`, '', { look: 'wide' });
};
