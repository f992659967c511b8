// Playground: one prompt over any of the three protocols; the answer grows on the left, the raw events on the right.

state.play = { alias: '', protocol: 'chat', prompt: '', stream: true, tool: false, result: '18 °C, light rain', run: null };
const OUTPUT_TOKENS = 2048;
const TOOL = { name: 'get_weather', description: 'The weather of a city, now' };
const TOOL_SCHEMA = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };

/** How each protocol asks, offers the tool, and goes on after its result. */
const SPEECH = {
  chat: {
    body: (turns, stream) => ({ messages: turns, ...(stream && { stream_options: { include_usage: true } }) }),
    tool: { type: 'function', function: { ...TOOL, parameters: TOOL_SCHEMA } },
    next: ({ text, calls }, result) => [{ role: 'assistant', content: text || null, tool_calls: calls.map(({ id, name, input }) => ({ id, type: 'function', function: { name, arguments: input } })) }, ...calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: result }))],
  },
  responses: {
    body: turns => ({ input: turns, store: false }),
    tool: { type: 'function', ...TOOL, parameters: TOOL_SCHEMA, strict: false },
    next: ({ items, calls }, result) => [...items, ...calls.map(({ id }) => ({ type: 'function_call_output', call_id: id, output: result }))],
  },
  messages: {
    body: turns => ({ max_tokens: OUTPUT_TOKENS, messages: turns }),
    tool: { ...TOOL, input_schema: TOOL_SCHEMA },
    next: ({ items, calls }, result) => [{ role: 'assistant', content: items.filter(Boolean) }, { role: 'user', content: calls.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: result })) }],
  },
};

/** Reads an event of a stream, or a whole answer, in whichever protocol it speaks. */
const read = (run, said) => {
  const { type, choices = [], output, item, content = [], content_block, index, delta, message, response = said } = said;
  tally(run, said.usage ?? message?.usage ?? response.usage);
  const wrong = type === 'error' && message ? said : response.error;
  run.error = wrong ? plain(wrong.message ?? wrong) : response.incomplete_details?.reason ?? run.error;
  // Chat Completions
  const part = choices[0]?.delta ?? choices[0]?.message ?? {};
  const thought = part.reasoning_content ?? part.reasoning;
  if (typeof part.content === 'string') run.text += part.content;
  if (typeof thought === 'string') run.thought += thought;
  for (const [at, { index = at, id, function: { name = '', arguments: input = '' } = {} }] of (part.tool_calls ?? []).entries()) {
    const call = (run.calls[index] ??= { name: '', input: '' });
    call.id ||= id;
    call.name += name;
    call.input += input;
  }
  // Responses: a stream tells the text before the item that holds it.
  if (type === 'response.output_text.delta') run.text += delta;
  if (/reasoning.*\.delta$/.test(type)) run.thought += delta;
  for (const done of output ?? (/item\.done$/.test(type) ? [item] : [])) {
    const { type: kind, call_id: id, name, arguments: input, summary = [], content = [] } = done;
    run.items.push(done);
    if (kind === 'function_call') run.calls.push({ id, name, input });
    if (output) run[kind === 'reasoning' ? 'thought' : 'text'] += [...summary, ...content].map(({ text, refusal }) => text ?? refusal).join('');
  }
  // Messages
  for (const [at, block] of content_block ? [[index, content_block]] : content.entries()) {
    const { type: kind, id, name, input, text = '', thinking = '' } = block;
    run.items[at] = { ...block };
    run.text += text;
    run.thought += thinking;
    if (kind === 'tool_use') run.calls.push({ at, id, name, input: same(input, {}) ? '' : plain(input) });
  }
  const { text = '', thinking = '', signature = '', partial_json = '' } = delta ?? {};
  const block = run.items[index];
  const call = run.calls.find(({ at }) => at === index);
  run.text += text;
  run.thought += thinking;
  for (const [key, more] of Object.entries({ text, thinking, signature })) if (more) block[key] = (block[key] ?? '') + more;
  if (partial_json) call.input += partial_json;
  if (type === 'content_block_stop' && call) block.input = parsed(call.input) ?? {};
};

/** Notes the tokens of an answer, in any protocol's words. Messages counts what was cached beside the rest. */
const tally = (run, usage) => {
  if (!usage) return;
  const input = usage.prompt_tokens_details ?? usage.input_tokens_details;
  const beside = (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
  const now = {
    input: (usage.prompt_tokens ?? usage.input_tokens ?? 0) + beside || undefined,
    output: usage.completion_tokens ?? usage.output_tokens,
    cached: input?.cached_tokens ?? usage.cache_read_input_tokens,
    reasoning: (usage.completion_tokens_details ?? usage.output_tokens_details)?.reasoning_tokens,
  };
  for (const [key, n] of Object.entries(now)) run.usage[key] = n ?? run.usage[key];
};

const playView = () => {
  const { play } = state;
  const { run, protocol, tool } = play;
  const names = callable();
  if (!names.some(([name]) => name === play.alias)) play.alias = names[0]?.[0];
  const upstream = upstreamOf(aliasOf(play.alias)?.upstream);
  if (!upstream) return html`${top()}${empty('play', t('no_models_yet'), t('no_models_text'), link('upstreams', t('choose_models'), { look: 'primary' }))}`;
  const verbatim = isOauth(upstream) || upstream[PROTOCOLS.find(({ id }) => id === protocol).flag];
  return html`${top()}<form class="card play-form" novalidate>
      ${div('two', field('play.alias', { label: 'model', options: names }), field('play.protocol', { options: PROTOCOLS.map(({ id, label }) => [id, label]), hint: t(verbatim ? 'verbatim' : 'converted') }))}
      ${field('play.prompt', { rows: 3, placeholder: t(tool ? 'prompt_tool' : 'prompt_example') })}
      <div class="actions">${check('play.stream')}${check('play.tool')}${span('grow')}
      ${run?.running ? button('stop', { glyph: 'close', look: 'danger' }) : html`<button class="primary" type="submit">${icon('play')}${t('send')}</button>`}</div></form>
    ${run && html`<div class="play-out">${answerCard(run)}${card('raw-events', t('raw_events'), scroller('pane-body', t('raw_events'), run.streamed ? eventList(run.events.slice(-EVENTS_DRAWN_MAX), ({ ms }) => ms) : bodyView(run.raw)))}</div>`}`;
};

const answerCard = ({ running, text, thought, calls, error, stopped, warnings, status, first_ms, text_ms, total_ms, streamed, usage, id }) => {
  const { input, output, cached, reasoning } = usage;
  const seconds = (total_ms - (streamed ? text_ms ?? first_ms : 0)) / 1000;
  return card('answer', t('answer'), html`
    ${thought && fold(t('thinking'), p('', thought), true, 'thought')}
    <div aria-busy="${bool(running)}">${scroller('said', t('answer'), text || (running ? soft(t('waiting')) : !calls.length && !error && soft(t('no_text'))), running && text && span('caret'))}</div>
    ${calls.filter(Boolean).map(({ name, input }) => html`<div><b>${t('calls_tool', name)}</b><pre class="call" tabindex="0"><code>${input}</code></pre></div>`)}
    ${!running && calls.length > 0 && !error && html`${div('actions', field('play.result'), button('send_result', { look: 'accent' }))}`}
    <div role="alert">${warned(error)}</div>${stopped && hint(t('stopped'))}${lostList(warnings)}
    ${factList([['status', status && String(status)], ['first_byte', took(first_ms)], ['total', took(total_ms)], ['tokens_per_second', output && seconds > 0 && number(output / seconds, 1) || ''], ['input_tokens', input], ['output_tokens', output], ['cached_tokens', cached], ['reasoning_tokens', reasoning]])}
    ${id && !running && html`<p><a href="#/requests/${id}">${t('look_at_this_request')}</a></p>`}`);
};

submits.play = () => converse([{ role: 'user', content: state.play.prompt.trim() || t(state.play.tool ? 'prompt_tool' : 'prompt_example') }]);
actions.stop = () => state.play.run.abort.abort();
actions.send_result = () => {
  const { run, result } = state.play;
  return converse([...run.turns, ...SPEECH[run.protocol].next({ ...run, calls: run.calls.filter(Boolean) }, result)], run.protocol);
};

const converse = async (turns, protocol = state.play.protocol) => {
  const { alias, stream, tool, run: before } = state.play;
  if (before?.running) return;
  const speech = SPEECH[protocol];
  const run = { protocol, turns, running: true, text: '', thought: '', calls: [], items: [], events: [], usage: {}, warnings: [], abort: new AbortController() };
  state.play.run = run;
  schedule();
  const begun = performance.now();
  const now = () => performance.now() - begun;
  try {
    const answer = await send('POST', `api/try/v1/${PROTOCOLS.find(({ id }) => id === protocol).path}`, { model: alias, stream, ...speech.body(turns, stream), ...(tool && { tools: [speech.tool] }) }, protocol === 'messages' ? { 'anthropic-version': '2023-06-01' } : {}, run.abort.signal);
    const said = name => answer.headers.get(name) ?? '';
    Object.assign(run, { status: answer.status, first_ms: now(), id: /^req_\w+$/.exec(said('x-request-id'))?.[0], warnings: said('x-llm-wrapper-warnings').split(/[,\s]+/).filter(Boolean) });
    if (run.status === 401 && !said('x-request-id')) locked();
    run.streamed = answer.ok && /event-stream/.test(said('content-type'));
    if (run.streamed) await readStream(answer, run, now);
    else {
      const text = await answer.text();
      run.raw = parsed(text) ?? text;
      if (answer.ok && isTree(run.raw)) read(run, run.raw);
      else run.error = errorOf(run.raw, answer);
    }
  } catch (error) {
    if (run.abort.signal.aborted) run.stopped = true;
    else run.error = error instanceof TypeError ? t('no_answer') : error.message;
  }
  run.total_ms = now();
  run.running = false;
  schedule();
};

const readStream = async (answer, run, now) => {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? '';
    const end = done ? rest.length : Math.max(rest.lastIndexOf('\n\n'), rest.lastIndexOf('\r\n\r\n'));
    if (end > 0) {
      for (const event of eventsOf(rest.slice(0, end))) {
        run.events.push({ ...event, ms: now() });
        const value = parsed(event.data);
        if (isTree(value)) read(run, value);
        if (run.text) run.text_ms ??= now();
      }
      rest = rest.slice(end).replace(/^[\r\n]+/, '');
      schedule();
    }
    if (done) return;
  }
};
