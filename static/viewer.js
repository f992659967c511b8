// Shows bodies: JSON as a tree that folds, streams as a list of events with the moment each came.

const TREE_DEPTH_MAX = 40;
const OPEN_DEPTH = 3;

function tree(value, key, depth = 0) {
  const label = key === undefined ? '' : html`<span class="k">${typeof key === 'number' ? key : JSON.stringify(key)}</span><span class="p">: </span>`;
  if (value === null || typeof value !== 'object' || isRaw(value)) return html`<div class="leaf">${label}<span class="v-${typeOf(value)}">${text(value)}</span></div>`;
  const list = Array.isArray(value);
  const members = list ? value.map((member, at) => [at, member]) : Object.entries(value);
  if (!members.length || depth >= TREE_DEPTH_MAX) return html`<div class="leaf">${label}<span class="p">${members.length ? text(value) : list ? '[]' : '{}'}</span></div>`;
  return html`<details ${depth < OPEN_DEPTH && 'open'}><summary>${label}<span class="p">${list ? '[' : '{'}</span><span class="n">${list ? t('n_items', { n: members.length }) : t('n_members', { n: members.length })}</span><span class="p">${list ? ']' : '}'}</span></summary><div class="in">${members.map(([name, member]) => tree(member, name, depth + 1))}</div></details>`;
}
function text(value) {
  try { return JSON.stringify(value); } catch { return '…'; }
}

/** The events of a stream's text: name, data, where each begins. */
function eventsOf(stream) {
  const events = [];
  let event = null;
  const end = () => {
    if (event) events.push({ ...event, data: event.data.join('\n') });
    event = null;
  };
  for (const { 0: whole, 1: line, index } of stream.matchAll(/([^\r\n]*)(\r\n|\n|\r|$)/g)) {
    if (!line) {
      end();
      if (!whole) break;
      continue;
    }
    event ??= { at: index, name: '', data: [], note: '' };
    if (line.startsWith('data:')) event.data.push(line.slice(line[5] === ' ' ? 6 : 5));
    else if (line.startsWith('event:')) event.name = line.slice(6).trim();
    else if (line.startsWith(':')) event.note = line.slice(1).trim();
    else if (!/^(id|retry):/.test(line)) event.data.push(line);
  }
  end();
  return events;
}

const EVENTS_DRAWN_MAX = 500;
/** `marks`: [position, ms] of each piece that came live; an event came with the piece that holds its beginning. */
function eventList(stream, marks = []) {
  const events = eventsOf(stream);
  const whenOf = (position) => marks.findLast(([start]) => start <= position)?.[1];
  return html`<ol class="events">${events.slice(0, EVENTS_DRAWN_MAX).map((event) => eventRow(event, whenOf(event.at)))}</ol>${events.length > EVENTS_DRAWN_MAX && html`<p class="soft">${t('and_more', { n: events.length - EVENTS_DRAWN_MAX })}</p>`}`;
}
function eventRow({ name, data, note }, at) {
  let value;
  try { value = parse(data); } catch { value = undefined; }
  const row = html`<span class="num">${at === undefined ? '' : `+${span(at)}`}</span><b>${name || (note ? ':' : '')}</b><code>${data || note}</code>`;
  return value !== null && typeof value === 'object' ? html`<li><details><summary>${row}</summary><div class="tree">${tree(value)}</div></details></li>` : html`<li class="bare">${row}</li>`;
}

/** One side of a record. */
function bodyView(body, marks) {
  if (body === null || body === undefined || body === '') return html`<p class="soft">${t('nothing_there')}</p>`;
  if (typeof body === 'string') {
    if (/^(event|data|id|retry|):/m.test(body.slice(0, 200))) return eventList(body, marks);
    try {
      const value = parse(body);
      if (value !== null && typeof value === 'object') return html`<div class="tree">${tree(value)}</div>`;
    } catch { /* it is text */ }
    return html`<pre class="raw">${body}</pre>`;
  }
  return html`<div class="tree">${tree(body)}</div>`;
}
