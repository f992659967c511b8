// Requests: the ring of records, newest first, live; one row opens to the four sides of its request.

state.records = null; // null: not loaded yet
state.details = {}; // id → {loading, record, error}
state.live = {}; // id → side → {text, marks}
state.missed = 0;
state.only = ''; // '' or 'failed'
const RECORDS_MAX = 256;
const LIVE_TEXT_MAX = 64 * 1024;
let feed = null;

/** Opens the live feed while this view is looked at, and closes it after. */
function listen() {
  const wanted = state.view === 'requests' && state.session?.authenticated;
  if (!wanted || !state.reachable) {
    feed?.close();
    feed = null;
    return;
  }
  if (feed && feed.readyState !== EventSource.CLOSED) return;
  feed = new EventSource(address('api/debug/stream'));
  const on = (name, handle) => feed.addEventListener(name, (event) => { handle(parse(event.data)); schedule(); });
  feed.onopen = loadRecords; // what came before, and what came while the feed was broken
  on('begin', (begun) => put({ running: true, status: null, warnings: [], ...begun }));
  on('route', (route) => put(route));
  on('response', (response) => put(response));
  on('data', ({ id, side, at_ms, text }) => {
    const live = (state.live[id] ??= {});
    const kept = (live[side] ??= { text: '', marks: [] });
    if (kept.text.length > LIVE_TEXT_MAX) return;
    kept.marks.push([kept.text.length, at_ms]);
    kept.text += text;
  });
  on('end', (summary) => {
    put({ ...summary, running: false });
    if (state.argument === summary.id) loadRecord(summary.id);
  });
  on('lagged', ({ missed }) => { state.missed += missed; loadRecords(); });
  on('cleared', () => { state.records = []; state.details = {}; state.live = {}; });
}

function put(change) {
  state.records ??= [];
  const known = state.records.find(({ id }) => id === change.id);
  if (known) Object.assign(known, change);
  else if (change.started_ms) state.records = [change, ...state.records].slice(0, RECORDS_MAX);
  const ids = new Set(state.records.map(({ id }) => id));
  for (const id of Object.keys(state.live)) if (!ids.has(id)) delete state.live[id];
}

async function loadRecords() {
  try {
    const [{ records }] = await ask('GET', 'api/debug/records');
    const ids = new Set(records.map(({ id }) => id));
    const running = (state.records ?? []).filter((record) => record.running && !ids.has(record.id));
    state.records = [...running, ...records];
    if (state.argument && ids.has(state.argument) && !state.details[state.argument]?.record) loadRecord(state.argument);
  } catch {
    // The bar says that the gateway is gone; the feed comes back by itself.
  }
  schedule();
}

async function loadRecord(id) {
  const detail = (state.details[id] ??= {});
  detail.loading = true;
  schedule();
  try {
    [detail.record] = await ask('GET', `api/debug/records/${encodeURIComponent(id)}`);
    detail.error = '';
  } catch (failure) {
    detail.error = failure.status === 404 ? t('record_gone') : failure.message;
  }
  detail.loading = false;
  schedule();
}

const isFailed = (record) => !record.running && (record.status === 0 || record.status >= 400 || record.complete === false || record.error);

function requestsView() {
  const { records } = state;
  const words = state.filter.toLowerCase();
  const shown = (records ?? []).filter((record) => (state.only !== 'failed' || isFailed(record)) && (!words || [record.alias, record.upstream, record.target_model, record.endpoint, record.status, record.client_ip, record.client_key, record.id, record.error].join('\n').toLowerCase().includes(words)));
  const first = state.config.aliases[0]?.alias ?? 'MODEL';
  const curl = CLIENTS.curl.text(first, keyText(state.config.client_api_keys[0]?.name));
  return html`<div class="top"><h1>${t('requests')}</h1><div class="actions"><span class="live ${feed && state.reachable && 'on'}">${t(feed && state.reachable ? 'live' : 'not_live')}</span>
      <button type="button" data-action="only-failed" aria-pressed="${state.only === 'failed' ? 'true' : 'false'}">${t('only_failed')}</button>
      <button type="button" data-action="clear-records" ${!records?.length && 'disabled'}>${icon('trash')}${t('clear')}</button></div></div>
    ${records?.length > FILTER_FROM && filterBox(t('filter_requests'))}
    ${state.missed > 0 && html`<p class="hint">${t('missed', { n: state.missed })}</p>`}
    ${records === null ? skeletonRows(6) : !records.length ? empty('requests', t('no_requests_title'), t('no_requests_text'), html`<div class="snippet"><pre tabindex="0" aria-label="curl"><code>${curl}</code></pre>${copyButton(curl, t('copy'), 'small')}</div>`)
    : !shown.length ? empty('requests', t('nothing_found'), t('nothing_failed'), html`<button type="button" data-action="all-records">${t('show_all')}</button>`)
    : html`<div class="records"><div class="record-head" aria-hidden="true"><span>${t('status')}</span><span>${t('time')}</span><span>${t('model')}</span><span>${t('protocol')}</span><span class="num">${t('first_byte')}</span><span class="num">${t('total')}</span><span class="num">${t('tokens')}</span></div>
      <ul class="rows">${shown.map(recordRow)}</ul></div>`}`;
}

const statusLook = (record) => record.running ? 'running' : isFailed(record) ? 'bad' : 'ok';
function statusText(record) {
  if (record.running) return record.status ? `${record.status} …` : '…';
  if (record.status === 0) return t('client_left');
  return record.complete === false ? `${record.status} ${t('broken_off')}` : String(record.status);
}

function recordRow(record) {
  const opened = state.argument === record.id;
  const { usage } = record;
  const converted = record.upstream_protocol && record.upstream_protocol !== record.client_protocol;
  const path = converted ? `${record.client_protocol}→${record.upstream_protocol}` : record.client_protocol ?? '';
  const count = record.warnings?.length ?? 0;
  return html`<li class="record ${opened && 'opened'}" data-key="record-${record.id}"><a class="row" href="#/requests${opened ? '' : `/${record.id}`}" aria-expanded="${opened ? 'true' : 'false'}" id="row-${record.id}">
    <span class="status ${statusLook(record)}">${icon(record.running ? 'requests' : isFailed(record) ? 'close' : 'check')}${statusText(record)}</span>
    <span class="when" title="${moment(record.started_ms)}">${clock(record.started_ms)}</span>
    <span class="way">${record.alias || record.upstream ? html`${cut(record.alias ?? record.target_model ?? '', 'mono strong')}${icon('arrow')}${cut(record.upstream ?? t('nowhere'), 'soft')}` : html`<code class="soft">${record.method} ${record.endpoint}</code>`}${count > 0 && html`<span class="badge warn" title="${t('n_warnings', { n: count })}">${icon('warn')}${count}<span class="sr"> ${t('n_warnings', { n: count })}</span></span>`}</span>
    <span class="protocol soft">${path}</span>
    <span class="num" data-label="${t('first_byte')}">${span(record.first_byte_ms)}</span><span class="num" data-label="${t('total')}">${record.running ? '' : span(record.duration_ms)}</span>
    <span class="num tokens" data-label="${t('tokens')}">${usage && html`${usage.input === null ? '?' : number(usage.input)}<span class="soft"> / </span>${usage.output === null ? '?' : number(usage.output)}`}</span></a>
    ${opened && recordDetail(record)}</li>`;
}

function recordDetail(summary) {
  const detail = state.details[summary.id] ?? {};
  const record = { ...summary, ...detail.record };
  const live = state.live[summary.id] ?? {};
  const sides = [
    ['client_request', t('side_client_request'), record.client_headers, record.client_url ?? record.endpoint],
    ['upstream_request', t('side_upstream_request'), record.upstream_headers, record.upstream_url],
    ['upstream_response', t('side_upstream_response'), record.upstream_response_headers, record.upstream_status ? t('status_n', { n: record.upstream_status }) : ''],
    ['client_response', t('side_client_response'), null, record.status ? t('status_n', { n: record.status }) : ''],
  ];
  const facts = [[t('model'), record.target_model], [t('client'), [record.client_ip, record.client_key].filter(Boolean).join(' · ')], [t('cached_tokens'), record.usage?.cached], [t('reasoning_tokens'), record.usage?.reasoning], [t('bytes_in_out'), record.bytes_in === undefined ? null : `${bytes(record.bytes_in)} / ${bytes(record.bytes_out)}`], ['id', record.id]];
  return html`<div class="detail" role="region" aria-label="${record.id}">
    ${record.error && html`<p class="failed">${icon('warn')}<span>${record.error}</span></p>`}
    ${record.warnings?.length > 0 && html`<div class="lost"><h3>${t('lost_title')}</h3><ul>${record.warnings.map((warning) => html`<li>${lostWords(warning)}</li>`)}</ul></div>`}
    <dl class="facts">${facts.filter(([, value]) => value !== null && value !== undefined && value !== '').map(([label, value]) => html`<div><dt>${label}</dt><dd>${typeof value === 'number' ? number(value) : cut(value, 'mono')}</dd></div>`)}</dl>
    <div class="actions"><button type="button" class="small" data-action="copy-curl" data-name="${record.id}" ${!detail.record && 'disabled'}>${icon('copy')}${t('copy_curl')}</button>${record.alias && html`<a class="button small" href="#/play/${encodeURIComponent(record.alias)}" aria-label="${t('try_x', { name: record.alias })}">${icon('play')}${t('try')}</a>`}</div>
    ${detail.error && !record.running && html`<p class="failed">${icon('warn')}<span>${detail.error}</span></p>`}
    <div class="panes">${sides.map(([side, title, headers, about]) => pane(record, detail, side, title, headers, about, live[side]))}</div></div>`;
}

function pane(record, detail, side, title, headers, about, live) {
  const body = detail.record?.[side] ?? (live ? live.text : null);
  const total = record.cut?.[side];
  // On the verbatim path what the client got is what the upstream sent, and is kept once.
  const untouched = side === 'client_response' && !body && detail.record?.upstream_response && record.client_protocol === record.upstream_protocol;
  return html`<section class="pane" data-key="pane-${side}" aria-label="${title}"><header><h3>${title}</h3>${about && cut(about, 'mono soft')}${body !== null && body !== undefined && copyButton(typeof body === 'string' ? body : JSON.stringify(body, null, 2))}</header>
    ${headers?.length > 0 && html`<details class="headers"><summary>${t('n_headers', { n: headers.length })}</summary><dl>${headers.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></details>`}
    <div class="pane-body" tabindex="0" role="group" aria-label="${title}">${untouched ? html`<p class="soft">${t('same_as_upstream')}</p>` : detail.loading && !detail.record && !live ? html`<p class="skeleton w9">&nbsp;</p><p class="skeleton w7">&nbsp;</p>` : bodyView(body, live?.marks)}</div>
    ${total && html`<p class="hint">${t('was_cut', { size: bytes(total) })}</p>`}</section>`;
}

/** `field:reason` of a conversion, as a sentence. */
function lostWords(warning) {
  const at = warning.lastIndexOf(':');
  const name = warning.slice(0, at);
  const reason = warning.slice(at + 1);
  if (name === 'more') return t('lost_more', { n: Number(reason) });
  const words = WORDS[`lost_${reason}`] ? t(`lost_${reason}`) : reason.replaceAll('_', ' ');
  return html`<code>${name}</code> ${words}`;
}

actions['only-failed'] = () => { state.only = state.only ? '' : 'failed'; schedule(); };
actions['all-records'] = () => { state.only = ''; state.filter = ''; schedule(); };
actions['clear-records'] = async () => {
  try {
    await ask('DELETE', 'api/debug');
    Object.assign(state, { records: [], details: {}, live: {}, missed: 0 });
    if (state.argument) location.hash = '#/requests';
  } catch (failure) {
    toast(failure.message, 'bad');
  }
  schedule();
};
actions['copy-curl'] = async (button) => {
  const record = state.details[button.dataset.name]?.record;
  const body = typeof record.client_request === 'string' ? record.client_request : JSON.stringify(record.client_request);
  const lines = [`curl ${record.method === 'POST' ? '' : `-X ${record.method} `}${shell(new URL(record.endpoint.replace(/^\//, ''), home).href)}`];
  if (record.client_key) lines.push(`-H ${shell(`Authorization: Bearer ${keyText(record.client_key)}`)}`);
  if (record.client_protocol === 'messages') lines.push("-H 'anthropic-version: 2023-06-01'");
  if (record.client_request !== null) lines.push("-H 'Content-Type: application/json'", `-d ${shell(body)}`);
  toast(t(await copyText(lines.join(' \\\n  ')) ? record.cut?.client_request ? 'curl_cut' : 'copied' : 'copy_failed'));
};
