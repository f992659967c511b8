// Playground: one prompt over any of the three protocols; the answer grows on the left, the raw events on the right.

state.play = { alias: '', protocol: 'chat', prompt: '', stream: true, tool: false, result: '18 °C, light rain', run: null };
const OUTPUT_TOKENS = 2048;
const TOOL = { name: 'get_weather', description: 'The weather of a city, now', schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } };

/** How each protocol asks, and how its answer is read: `read(run, event)` for a stream, `whole(run, answer)` for one body. */
const SPEECH = {
  chat: {
    turn: (prompt) => [{ role: 'user', content: prompt }],
    body: (model, turns, { stream, tool }) => ({ model, messages: turns, stream, ...(stream && { stream_options: { include_usage: true } }), ...(tool && { tools: [{ type: 'function', function: { name: TOOL.name, description: TOOL.description, parameters: TOOL.schema } }] }) }),
    read(run, { choices = [], usage, error }) {
      if (error) run.error = plain(error.message ?? error);
      if (usage) run.usage = { input: usage.prompt_tokens, output: usage.completion_tokens, cached: usage.prompt_tokens_details?.cached_tokens, reasoning: usage.completion_tokens_details?.reasoning_tokens };
      const part = choices[0]?.delta ?? choices[0]?.message ?? {};
      run.thought += part.reasoning_content ?? (typeof part.reasoning === 'string' ? part.reasoning : '');
      if (typeof part.content === 'string') run.text += part.content;
      for (const [at, call] of (part.tool_calls ?? []).entries()) {
        const kept = (run.calls[call.index ?? at] ??= { id: '', name: '', input: '' });
        kept.id ||= call.id ?? '';
        kept.name += call.function?.name ?? '';
        kept.input += call.function?.arguments ?? '';
      }
    },
    whole(run, answer) { this.read(run, answer); },
    next: (run, result) => [{ role: 'assistant', content: run.text || null, tool_calls: run.calls.map(({ id, name, input }) => ({ id, type: 'function', function: { name, arguments: input } })) }, ...run.calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: result }))],
  },
  responses: {
    turn: (prompt) => [{ role: 'user', content: [{ type: 'input_text', text: prompt }] }],
    body: (model, turns, { stream, tool }) => ({ model, input: turns, stream, store: false, ...(tool && { tools: [{ type: 'function', name: TOOL.name, description: TOOL.description, parameters: TOOL.schema, strict: false }] }) }),
    read(run, event) {
      if (event.type === 'response.output_text.delta') run.text += event.delta;
      else if (/reasoning.*\.delta$/.test(event.type)) run.thought += event.delta;
      else if (event.type === 'response.output_item.done') { run.items.push(event.item); if (event.item.type === 'function_call') run.calls.push({ id: event.item.call_id, name: event.item.name, input: event.item.arguments }); }
      else if (event.type === 'error') run.error = plain(event.message ?? event.error?.message);
      else if (/^response\.(completed|incomplete|failed)$/.test(event.type)) {
        const { usage, error, incomplete_details } = event.response;
        this.usage(run, usage);
        run.error = plain(error?.message ?? incomplete_details?.reason);
      }
    },
    usage(run, usage) {
      if (usage) run.usage = { input: usage.input_tokens, output: usage.output_tokens, cached: usage.input_tokens_details?.cached_tokens, reasoning: usage.output_tokens_details?.reasoning_tokens };
    },
    whole(run, { output = [], usage, error }) {
      run.items = output;
      for (const item of output) {
        if (item.type === 'message') run.text += item.content.map((part) => part.text ?? part.refusal ?? '').join('');
        if (item.type === 'reasoning') run.thought += [...(item.summary ?? []), ...(item.content ?? [])].map((part) => part.text).join('');
        if (item.type === 'function_call') run.calls.push({ id: item.call_id, name: item.name, input: item.arguments });
      }
      this.usage(run, usage);
      run.error = plain(error?.message);
    },
    next: (run, result) => [...run.items, ...run.calls.map(({ id }) => ({ type: 'function_call_output', call_id: id, output: result }))],
  },
  messages: {
    turn: (prompt) => [{ role: 'user', content: prompt }],
    body: (model, turns, { stream, tool }) => ({ model, max_tokens: OUTPUT_TOKENS, messages: turns, stream, ...(tool && { tools: [{ name: TOOL.name, description: TOOL.description, input_schema: TOOL.schema }] }) }),
    read(run, event) {
      if (event.type === 'message_start') this.usage(run, event.message?.usage);
      else if (event.type === 'message_delta') this.usage(run, event.usage);
      else if (event.type === 'error') run.error = plain(event.error?.message);
      else if (event.type === 'content_block_start') {
        run.items[event.index] = { ...event.content_block };
        run.text += event.content_block.text ?? '';
        if (event.content_block.type === 'tool_use') run.calls.push({ id: event.content_block.id, name: event.content_block.name, input: '', at: event.index });
      } else if (event.type === 'content_block_delta') {
        const { delta } = event;
        const block = run.items[event.index] ?? {};
        if (delta.type === 'text_delta') { run.text += delta.text; block.text = (block.text ?? '') + delta.text; }
        if (delta.type === 'thinking_delta') { run.thought += delta.thinking; block.thinking = (block.thinking ?? '') + delta.thinking; }
        if (delta.type === 'signature_delta') block.signature = (block.signature ?? '') + delta.signature;
        if (delta.type === 'input_json_delta') { const call = run.calls.find(({ at }) => at === event.index); if (call) call.input += delta.partial_json; }
      } else if (event.type === 'content_block_stop') {
        const call = run.calls.find(({ at }) => at === event.index);
        if (call) try { run.items[event.index].input = parse(call.input || '{}'); } catch { run.items[event.index].input = {}; }
      }
    },
    usage(run, usage) {
      if (!usage) return;
      const sum = (usage.input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
      run.usage = { input: sum || run.usage?.input, output: usage.output_tokens ?? run.usage?.output, cached: usage.cache_read_input_tokens ?? run.usage?.cached };
    },
    whole(run, { content = [], usage }) {
      run.items = content;
      for (const block of content) {
        if (block.type === 'text') run.text += block.text;
        if (block.type === 'thinking') run.thought += block.thinking;
        if (block.type === 'tool_use') run.calls.push({ id: block.id, name: block.name, input: JSON.stringify(block.input) });
      }
      this.usage(run, usage);
    },
    next: (run, result) => [{ role: 'assistant', content: run.items.filter(Boolean) }, { role: 'user', content: run.calls.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: result })) }],
  },
};

function playView() {
  const { play } = state;
  const callable = state.config.aliases.filter((alias) => upstreamOf(alias.upstream)?.enabled !== false);
  if (!callable.some(({ alias }) => alias === play.alias)) play.alias = callable[0]?.alias ?? '';
  const upstream = upstreamOf(aliasOf(play.alias)?.upstream);
  const { flag } = PROTOCOLS.find(({ id }) => id === play.protocol);
  const { run } = play;
  if (!callable.length) return html`<div class="top"><h1>${t('play')}</h1></div>${empty('play', t('no_models_title'), t('no_models_text'), html`<a class="button primary" href="#/upstreams">${t('choose_models')}</a>`)}`;
  return html`<div class="top"><h1>${t('play')}</h1></div>
    <form class="card play-form" data-submit="play" novalidate>
      <div class="grid two">${field({ bind: 'play.alias', label: t('model'), value: play.alias, options: callable.map(({ alias }) => [alias, alias]) })}
      ${field({ bind: 'play.protocol', label: t('protocol'), value: play.protocol, options: PROTOCOLS.map(({ id, label }) => [id, label]), hint: upstream && (upstream[flag] || isOauth(upstream)) ? t('play_verbatim') : t('play_converted') })}</div>
      ${field({ bind: 'play.prompt', label: t('prompt'), value: play.prompt, rows: 3, placeholder: play.tool ? t('prompt_tool') : t('prompt_example'), hint: t('prompt_hint') })}
      <div class="actions">${check({ bind: 'play.stream', label: t('stream'), on: play.stream })}${check({ bind: 'play.tool', label: t('with_tool'), on: play.tool })}<span class="grow"></span>
      ${run?.running ? html`<button type="button" class="danger" data-action="stop-play">${icon('close')}${t('stop')}</button>` : html`<button class="primary" type="submit">${icon('play')}${t('send')}</button>`}</div></form>
    ${run && html`<div class="play-out"><section class="card answer" aria-label="${t('answer')}" aria-busy="${run.running ? 'true' : 'false'}"><h2>${t('answer')}</h2>
      ${run.thought && html`<details class="thought" open><summary>${t('thinking')}</summary><p>${run.thought}</p></details>`}
      <div class="said" tabindex="0" role="group" aria-label="${t('answer')}">${run.text || (run.running ? html`<span class="soft">${t('waiting')}</span>` : !run.calls.length && !run.error && html`<span class="soft">${t('no_text')}</span>`)}${run.running && run.text && html`<span class="caret"></span>`}</div>
      ${run.calls.filter(Boolean).map((call) => html`<div class="call"><b>${t('calls_tool', { name: call.name })}</b><pre tabindex="0"><code>${call.input}</code></pre></div>`)}
      ${!run.running && run.calls.length > 0 && !run.error && html`<div class="actions">${field({ bind: 'play.result', label: t('tool_result'), value: play.result })}<button type="button" class="accent" data-action="answer-tool">${t('send_result')}</button></div>`}
      ${run.error && html`<p class="failed" role="alert">${icon('warn')}<span>${run.error}</span></p>`}
      ${run.stopped && html`<p class="hint">${t('stopped')}</p>`}
      ${run.warnings.length > 0 && html`<div class="lost"><h3>${t('lost_title')}</h3><ul>${run.warnings.map((warning) => html`<li>${lostWords(warning)}</li>`)}</ul></div>`}
      <dl class="facts">${runFacts(run).map(([label, value]) => html`<div><dt>${label}</dt><dd class="num">${value}</dd></div>`)}</dl>
      ${run.id && !run.running && html`<p><a href="#/requests/${run.id}">${t('look_at_request')}</a></p>`}</section>
    <section class="card raw-events" aria-label="${t('raw_events')}"><h2>${t('raw_events')}</h2><div class="pane-body" tabindex="0" role="group" aria-label="${t('raw_events')}">${run.streamed ? html`<ol class="events">${run.events.slice(-EVENTS_DRAWN_MAX).map((event) => eventRow(event, event.at))}</ol>` : bodyView(run.raw)}</div></section></div>`}`;
}

function runFacts(run) {
  const facts = [];
  if (run.status) facts.push([t('status'), run.status]);
  if (run.first_ms !== undefined) facts.push([t('first_byte'), span(run.first_ms)]);
  if (run.total_ms !== undefined) facts.push([t('total'), span(run.total_ms)]);
  const { input, output, cached, reasoning } = run.usage ?? {};
  if (output && run.total_ms !== undefined) facts.push([t('tokens_per_s'), number(output / Math.max(0.001, (run.total_ms - (run.streamed ? run.text_ms ?? run.first_ms ?? 0 : 0)) / 1000), 1)]);
  for (const [label, value] of [[t('input_tokens'), input], [t('output_tokens'), output], [t('cached_tokens'), cached], [t('reasoning_tokens'), reasoning]]) if (value !== undefined && value !== null) facts.push([label, number(value)]);
  return facts;
}

submits.play = () => send(SPEECH[state.play.protocol].turn(state.play.prompt.trim() || t(state.play.tool ? 'prompt_tool' : 'prompt_example')));
actions['stop-play'] = () => state.play.run?.abort.abort();
actions['answer-tool'] = () => {
  const { run, result } = state.play;
  send([...run.turns, ...SPEECH[run.protocol].next({ ...run, calls: run.calls.filter(Boolean) }, result)], run.protocol);
};

async function send(turns, protocol = state.play.protocol) {
  const { play } = state;
  if (play.run?.running) return;
  const speech = SPEECH[protocol];
  const run = { protocol, turns, running: true, text: '', thought: '', calls: [], items: [], events: [], raw: null, error: '', warnings: [], abort: new AbortController() };
  play.run = run;
  schedule();
  const begun = performance.now();
  const now = () => performance.now() - begun;
  try {
    const headers = { 'content-type': 'application/json' };
    if (protocol === 'messages') headers['anthropic-version'] = '2023-06-01';
    const body = JSON.stringify(speech.body(play.alias, turns, play));
    const answer = await fetch(address(`api/try/v1/${PROTOCOLS.find(({ id }) => id === protocol).path}`), { method: 'POST', headers, body, signal: run.abort.signal, credentials: 'same-origin', cache: 'no-store' });
    run.status = answer.status;
    run.first_ms = now();
    run.id = /^req_/.test(answer.headers.get('x-request-id') ?? '') ? answer.headers.get('x-request-id') : '';
    run.warnings = (answer.headers.get('x-llm-wrapper-warnings') ?? '').split(',').map((entry) => entry.trim()).filter(Boolean);
    if (answer.status === 401 && !answer.headers.get('x-request-id')) locked();
    run.streamed = answer.ok && /event-stream/.test(answer.headers.get('content-type') ?? '');
    if (run.streamed) await readStream(answer, run, speech, now);
    else {
      run.raw = await answer.text();
      try { run.raw = parse(run.raw); } catch { /* shown as text */ }
      if (answer.ok && typeof run.raw === 'object') speech.whole(run, run.raw);
      else run.error = plain(run.raw?.error?.message ?? run.raw?.error ?? t('status_n', { n: answer.status }));
    }
  } catch (error) {
    if (run.abort.signal.aborted) run.stopped = true;
    else run.error = error instanceof TypeError ? t('unreachable_short') : error.message;
  }
  run.total_ms = now();
  run.running = false;
  schedule();
}

async function readStream(answer, run, speech, now) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? '';
    const end = done ? rest.length : Math.max(rest.lastIndexOf('\n\n'), rest.lastIndexOf('\r\n\r\n'));
    if (end > 0) {
      for (const event of eventsOf(rest.slice(0, end))) {
        run.events.push({ ...event, at: now() });
        if (!event.data || event.data === '[DONE]') continue;
        try { speech.read(run, parse(event.data)); } catch (error) { run.error ||= error.message; }
        if (run.text && run.text_ms === undefined) run.text_ms = now();
      }
      rest = rest.slice(end).replace(/^[\r\n]+/, '');
      schedule();
    }
    if (done) return;
  }
}
