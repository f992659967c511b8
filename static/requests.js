// Requests: the ring of records, newest first, live; one row opens to the four sides of its request.

state.records = null; // null: not loaded yet
state.details = {}; // id → what `load` notes
state.live = {}; // id → side → {text, marks}
state.missed = 0;
state.only = ''; // '' or 'failed'
const RECORDS_MAX = 256;
const LIVE_TEXT_MAX = 64 * 1024;
let feed = null;

/** Opens the live feed while this view is looked at, and closes it after. */
const listen = () => {
  if (state.view !== 'requests' || !isInside() || !state.reachable) {
    feed?.close();
    feed = null;
    return;
  }
  if (feed && feed.readyState !== EventSource.CLOSED) return;
  feed = new EventSource(address('api/debug/stream'));
  const on = (name, handle) => feed.addEventListener(name, ({ data }) => { handle(parse(data)); schedule(); });
  feed.onopen = loadRecords; // what came before, and what came while the feed was broken
  on('begin', begun => put({ running: true, status: null, warnings: [], ...begun }));
  on('route', put);
  on('response', put);
  on('data', ({ id, side, at_ms, text }) => {
    const kept = ((state.live[id] ??= {})[side] ??= { text: '', marks: [] });
    if (kept.text.length > LIVE_TEXT_MAX) return;
    kept.marks.push([kept.text.length, at_ms]);
    kept.text += text;
  });
  on('end', summary => {
    put({ ...summary, running: false });
    if (state.argument === summary.id) loadRecord(summary.id);
  });
  on('lagged', ({ missed }) => { state.missed += missed; loadRecords(); });
  on('cleared', forget);
};
const forget = () => Object.assign(state, { records: [], details: {}, live: {}, missed: 0 });

const put = change => {
  state.records ??= [];
  const known = state.records.find(({ id }) => id === change.id);
  if (known) Object.assign(known, change);
  else if (change.started_ms) state.records = [change, ...state.records].slice(0, RECORDS_MAX);
  for (const id of Object.keys(state.live)) if (!state.records.some(record => record.id === id)) delete state.live[id];
};

const loadRecords = async () => {
  try {
    const [{ records }] = await get('debug/records');
    const has = wanted => records.some(({ id }) => id === wanted);
    state.records = [...(state.records ?? []).filter(({ running, id }) => running && !has(id)), ...records];
    if (has(state.argument)) openRecord();
  } catch {
    // The bar says that the gateway is gone; the feed comes back by itself.
  }
  schedule();
};

const loadRecord = id => load(state.details[id] ??= {}, `debug/records/${encode(id)}`);
/** Loads the record that the address names, once. */
const openRecord = () => state.details[state.argument]?.answer || loadRecord(state.argument);

const isFailed = ({ running, status, complete, error }) => !running && (!status || status >= 400 || complete === false || error);

const requestsView = () => {
  const { records, only, missed } = state;
  const live = feed && state.reachable;
  const shown = (records ?? []).filter(record => (!only || isFailed(record)) && matches(Object.values(record)));
  return html`${top(span(`live ${live && 'on'}`, t(live ? 'live' : 'not_live')), button('only_failed', { on: only }), button('clear', { glyph: 'trash', off: !records?.length }))}
    ${records?.length > FILTER_FROM && filterBox(t('filter_requests'))}${missed > 0 && hint(t('missed', missed))}
    ${!records ? skeletonRows(6) : !records.length ? empty('requests', t('no_requests_yet'), t('no_requests_text'), snippet(CLIENTS.curl.text(state.config.aliases[0]?.alias ?? 'MODEL', keyText(clientKeys()[0]?.name)), 'curl'))
    : !shown.length ? nothingFound()
    : html`<div class="record-head" aria-hidden="true">${['status', 'time', 'model', 'protocol', 'first_byte', 'total', 'tokens'].map((column, at) => span(at > 3 && 'num', t(column)))}</div>
      <ul class="rows">${shown.map(recordRow)}</ul>`}`;
};

const statusText = ({ running, status, complete }) => running ? `${status ?? ''} …` : !status ? t('client_left') : complete === false ? `${status} ${t('broken_off')}` : status;

const recordRow = record => {
  const { id, running, alias, upstream, client_protocol, upstream_protocol, usage, warnings = [] } = record;
  const opened = state.argument === id;
  const failed = isFailed(record);
  const lost = `${t('lost_in_conversion')}: ${warnings.length}`;
  const count = n => typeof n === 'number' ? number(n) : '?';
  return html`<li class="record ${opened && 'opened'}" data-key="record-${id}"><a class="row" href="#/requests${!opened && `/${id}`}" aria-expanded="${bool(opened)}">
    ${span(`status ${running ? 'running' : failed ? 'bad' : 'ok'}`, icon(running ? 'requests' : failed ? 'close' : 'check'), statusText(record))}
    <span class="when" title="${moment(record.started_ms)}">${relative(record.started_ms)}</span>
    ${span('way', alias || upstream ? [cut(alias ?? record.target_model, 'mono strong'), icon('arrow'), cut(upstream ?? t('nowhere'), 'soft')] : html`<code class="soft">${record.method} ${record.endpoint}</code>`, warnings.length > 0 && html`<span class="badge warn" title="${lost}">${icon('warn')}${warnings.length}${span('sr', ' ', lost)}</span>`)}
    ${span('protocol soft', client_protocol, upstream_protocol && upstream_protocol !== client_protocol && `→${upstream_protocol}`)}${span('num', took(record.first_byte_ms))}${span('num', !running && took(record.duration_ms))}${span('num tokens', usage && [count(usage.input), span('soft', ' / '), count(usage.output)])}</a>
    ${opened && recordDetail(record)}</li>`;
};

const lostList = (warnings = []) => warnings.length > 0 && html`<div class="lost"><h3>${t('lost_in_conversion')}</h3>${list('', warnings.map(lostWords))}</div>`;
/** `field:reason` of a conversion, as a sentence. */
const lostWords = warning => {
  const [, name, reason] = /^(.*):(.*)$/s.exec(warning) ?? [, '', warning];
  if (name === 'more') return t('n_more', +reason);
  return [code(name), ' ', WORDS[`lost_${reason}`] ? t(`lost_${reason}`) : reason.replaceAll('_', ' ')];
};

const recordDetail = summary => {
  const { id } = summary;
  const detail = state.details[id] ?? {};
  const record = { ...summary, ...detail.answer };
  const { usage, bytes_in, alias } = record;
  const status = n => n && `${t('status')} ${n}`;
  return html`<section class="detail" aria-label="${id}">${warned(record.error)}${lostList(record.warnings)}
    ${factList([['model', record.target_model], ['client', [record.client_ip, record.client_key].filter(Boolean).join(' · ')], ['cached_tokens', usage?.cached], ['reasoning_tokens', usage?.reasoning], ['bytes_in_out', bytes_in === undefined ? '' : `${bytes(bytes_in)} / ${bytes(record.bytes_out)}`], ['ID', id]])}
    ${div('actions', button('copy_as_curl', { glyph: 'copy', look: 'small', name: id, off: !detail.answer }), alias && tryLink(alias, 'small'))}
    ${!record.running && warned(detail.error)}
    ${div('panes', [
      ['client_request', record.client_headers, record.client_url ?? record.endpoint],
      ['upstream_request', record.upstream_headers, record.upstream_url],
      ['upstream_response', record.upstream_response_headers, status(record.upstream_status)],
      ['client_response', null, status(record.status)],
    ].map(side => pane(record, detail, ...side)))}</section>`;
};

const pane = (record, detail, side, headers, about) => {
  const live = state.live[record.id]?.[side];
  const body = detail.answer?.[side] ?? live?.text;
  const total = record.cut?.[side];
  const title = t(side);
  // On the verbatim path what the client got is what the upstream sent, and is kept once.
  const untouched = side === 'client_response' && !body && detail.answer?.upstream_response && record.client_protocol === record.upstream_protocol;
  return html`<section class="pane" data-key="pane-${side}" aria-label="${title}"><header><h3>${title}</h3>${about && cut(about, 'mono soft')}${body && copyButton(typeof body === 'string' ? body : JSON.stringify(body, null, 2))}</header>
    ${headers?.length > 0 && fold(`${t('headers')}: ${headers.length}`, html`<dl>${headers.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`, false, 'headers')}
    ${scroller('pane-body', title, untouched ? soft(t('verbatim_body')) : detail.loading && !detail.answer && !live ? skeleton() : bodyView(body, live?.marks))}
    ${total && hint(t('was_cut', bytes(total)))}</section>`;
};

actions.only_failed = () => { state.only = state.only ? '' : 'failed'; };
actions.clear = async () => {
  await ask('DELETE', 'debug');
  forget();
  if (state.argument) location.hash = '#/requests';
};
actions.copy_as_curl = async ({ name }) => {
  const { method, endpoint, client_key, client_protocol, client_request, cut } = state.details[name].answer;
  const header = text => `-H ${shell(text)}`;
  const command = lines(`curl ${method === 'POST' ? '' : `-X ${method} `}${shell(address(endpoint.replace(/^\//, '')))}`, ...[
    client_key && header(`Authorization: Bearer ${keyText(client_key)}`),
    client_protocol === 'messages' && header('anthropic-version: 2023-06-01'),
    client_request !== null && header('Content-Type: application/json'),
    client_request !== null && `-d ${shell(plain(client_request))}`,
  ].filter(Boolean));
  toast(t(await copyText(command) ? cut?.client_request ? 'curl_cut' : 'copied' : 'copy_failed'));
};
