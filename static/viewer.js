// Shows bodies: JSON as a tree that folds, streams as a list of events with the moment each came.

const TREE_DEPTH_MAX = 40;
const OPEN_DEPTH = 3;
const EVENTS_DRAWN_MAX = 500;

const isTree = value => value !== null && typeof value === 'object' && !isRaw(value);
const tree = value => div('tree', branch(value));
const branch = (value, key, depth = 0) => {
  const label = key !== undefined && [span('k', typeof key === 'number' ? key : JSON.stringify(key)), span('p', ': ')];
  const members = isTree(value) && Object.entries(value);
  if (!members.length || depth >= TREE_DEPTH_MAX) return div('leaf', label, span(`v-${typeOf(value)}`, text(value)));
  const many = Array.isArray(value);
  return fold([label, span('p', many ? '[' : '{', span('n', members.length), many ? ']' : '}')], div('in', members.map(([name, member]) => branch(member, many ? +name : name, depth + 1))), depth < OPEN_DEPTH);
};
const text = value => {
  try { return JSON.stringify(value); } catch { return '…'; }
};

/** The events of a stream's text: name, data, where each begins. */
const eventsOf = stream => {
  const events = [];
  let event = null;
  for (const { 1: line, index } of stream.matchAll(/([^\r\n]*)(\r\n|\n|\r|$)/g)) {
    if (!line) {
      if (event) events.push({ ...event, data: event.data.join('\n') });
      event = null;
      continue;
    }
    event ??= { at: index, name: '', data: [], note: '' };
    const [, member, value] = /^(event|data|id|retry|): ?([^]*)/.exec(line) ?? [, 'data', line];
    if (member === 'data') event.data.push(value);
    else if (member === 'event') event.name = value.trim();
    else if (!member) event.note = value.trim();
  }
  return events;
};

/** `whenOf(event)`: the ms at which it came, where that is known. */
const eventList = (events, whenOf) => {
  const more = events.length - EVENTS_DRAWN_MAX;
  return html`<ol class="events">${events.slice(0, EVENTS_DRAWN_MAX).map(event => {
    const { name, data, note } = event;
    const value = parsed(data);
    const ms = whenOf(event);
    const row = html`${span('num', ms !== undefined && `+${took(ms)}`)}<b>${name || note && ':'}</b>${code(data || note)}`;
    return isTree(value) ? html`<li>${fold(row, tree(value))}</li>` : html`<li class="bare">${row}</li>`;
  })}</ol>${more > 0 && soft(t('n_more', more))}`;
};

/** One side of a record. `marks`: [position, ms] of each piece that came live; an event came with the piece that holds its beginning. */
const bodyView = (body, marks = []) => {
  if (!body) return soft(t('nothing_there'));
  if (typeof body !== 'string') return tree(body);
  if (/^(event|data|id|retry|):/m.test(body.slice(0, 200))) return eventList(eventsOf(body), ({ at }) => marks.findLast(([start]) => start <= at)?.[1]);
  const value = parsed(body);
  return isTree(value) ? tree(value) : html`<pre class="raw">${body}</pre>`;
};
