// What the page knows, how it learns it, and how it saves: an edit is a function of the newest configuration, so it can
// be made again when somebody else saved meanwhile.

const state = {
  session: null, // what GET /api/session said; null: not asked yet
  config: null,
  etag: '',
  status: null,
  reachable: true,
  fetched: {}, // upstream name → {loading, error, models: [{id, max_model_len}]}
  accounts: null, // what the sidecar said: {providers, quota} or {error}
  view: 'models',
  argument: '',
  dialogs: [],
  toasts: [],
  filter: '',
  menu: '', // the id of the menu that was opened last
  busy: new Set(), // controls whose change is on its way
};

const encode = encodeURIComponent;
/** Whether the gateway knows who this is; undefined before it was asked. */
const isInside = () => state.session?.authenticated;
const clientKeys = () => state.config.client_api_keys;
const sleep = ms => new Promise(done => setTimeout(done, ms));
let drawing = false;
/** Draws soon, once, however often it is asked. */
const schedule = () => {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(drawNow);
  setTimeout(drawNow, 60); // a hidden tab has no frames
};
/** Draws what is due at once: after a click, before the next key. */
const drawNow = () => {
  if (drawing) render();
};

const loadConfig = async () => {
  [state.config, state.etag] = await get('config');
  for (const list of ['upstreams', 'aliases', 'client_api_keys']) state.config[list] ??= [];
  // Fetched models of upstreams that are gone or point elsewhere now are dropped.
  const { fetched } = state;
  for (const [name, { base_url }] of Object.entries(fetched)) if (!isOn(upstreamOf(name)) || upstreamOf(name).base_url !== base_url) delete fetched[name];
  for (const upstream of state.config.upstreams) if (isOn(upstream) && !fetched[upstream.name]) loadModels(upstream.name);
  schedule();
};

/** Asks for something, into an entry that tells how it is: loading, its answer, or the error and its status. */
const load = async (entry, path) => {
  Object.assign(entry, { loading: true, error: '' });
  schedule();
  try {
    [entry.answer] = await get(path);
  } catch ({ message, status }) {
    Object.assign(entry, { error: message, status });
  }
  entry.loading = false;
  schedule();
};
const loadModels = async name => {
  const entry = { models: state.fetched[name]?.models ?? [], base_url: upstreamOf(name)?.base_url };
  state.fetched[name] = entry;
  await load(entry, `upstream-models/${encode(name)}`);
  entry.models = entry.answer?.models ?? entry.models;
};

const start = async () => {
  await enter();
  while (!state.session) {
    try {
      [state.session] = await get('session');
    } catch {
      await sleep(RETRY_MS);
    }
  }
  schedule();
  poll();
};

const POLL_MS = 3000;
const RETRY_MS = 1500;

/** For ever: state of the gateway, and the configuration whenever it is another one. */
const poll = async () => {
  for (;;) {
    if (isInside() && !document.hidden) {
      try {
        if (!state.config) await loadConfig();
        [state.status] = await get('status');
        const etag = state.status.config?.etag;
        if (etag && etag !== state.etag && !saving) {
          const before = state.config;
          await loadConfig();
          if (!same(state.config, before)) toast(t('elsewhere'));
        }
        if (!state.accounts && state.config.upstreams.some(isOauth)) loadAccounts();
        schedule();
      } catch {
        // `ask` has noted what there is to note; the next round tries again.
      }
    }
    await sleep(state.reachable ? POLL_MS : RETRY_MS);
  }
};

/** The gateway answers again. */
const returned = () => {
  if (isInside() === false) return;
  for (const [name, { error, status }] of Object.entries(state.fetched)) if (error && (!status || status === 401)) loadModels(name);
  listen();
};

let saving = null;
const MERGE_ROUNDS_MAX = 6;

/**
 * Saves an edit: a function of the newest configuration and of the choices made about clashes, giving
 * `{changes, clashes}`. Saves run one after another.
 */
const save = async edit => {
  while (saving) await saving.catch(() => {});
  saving = saveNow(edit);
  try {
    await saving;
  } finally {
    saving = null;
    schedule();
  }
};

const saveNow = async edit => {
  let choices = null;
  for (let round = 0; round < MERGE_ROUNDS_MAX; round++) {
    const { changes, clashes } = edit(clone(state.config), choices);
    if (clashes) {
      choices = await askAboutClashes(clashes);
      if (!choices) throw new Failure(0, t('not_saved'));
      continue;
    }
    if (!changes) return;
    try {
      const [{ kept, saved }] = await ask('PUT', 'config', changes, state.etag);
      await loadConfig();
      if (kept) toast(t('comments_kept', kept));
      if (saved === false) toast(t('config_memory'));
      return;
    } catch (failure) {
      if (failure.status !== 412) throw failure;
      await loadConfig();
    }
  }
  throw new Failure(412, t('too_many_writers'));
};

/**
 * Three-way merge of one entry. `choices[key]` is 'mine' or 'theirs' where both changed.
 * A null side means that the entry is not there.
 */
const merge = (base, mine, theirs, choices) => {
  const merged = {};
  const clashes = [];
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    let value = mine[key];
    if (!same(theirs[key], base[key])) {
      const choice = same(value, base[key]) || same(value, theirs[key]) ? 'theirs' : choices?.[key];
      if (choice === 'theirs') value = theirs[key];
      else if (!choice) clashes.push({ key, mine: value, theirs: theirs[key] });
    }
    if (value !== undefined) merged[key] = value;
  }
  return { merged, clashes };
};

/**
 * The edit that turns the entry `base` of a list into `mine`; null for "not there". `also(config)` changes what hangs
 * on it and returns the names of the other lists it touched.
 */
const entryEdit = (list, base, mine, also) => {
  const id = list === 'aliases' ? 'alias' : 'name';
  return (config, choices) => {
    const entries = config[list];
    const at = base ? entries.findIndex(entry => entry[id] === base[id]) : -1;
    if (at < 0) {
      const choice = base ? mine ? choices?.[''] : 'theirs' : 'mine';
      if (!choice) return { clashes: [{ key: '', mine: mine[id] }] };
      if (choice === 'theirs') return {};
      entries.push(mine);
    } else if (!mine) {
      entries.splice(at, 1);
    } else {
      const { merged, clashes } = merge(base, mine, entries[at], choices);
      if (clashes.length) return { clashes };
      entries[at] = merged;
    }
    const touched = also?.(config) ?? [];
    return { changes: Object.fromEntries([list, ...touched].map(name => [name, config[name]])) };
  };
};

/** Saves the change of one control (a switch, a tag), which is busy meanwhile. False: it was busy already. */
const quickSave = async (control, edit) => {
  if (state.busy.has(control)) return false;
  state.busy.add(control); // it is not disabled meanwhile: it would lose the focus
  try {
    await save(edit);
    return true;
  } finally {
    state.busy.delete(control);
  }
};

const upstreamOf = name => state.config?.upstreams.find(upstream => upstream.name === name);
const aliasOf = name => state.config?.aliases.find(({ alias }) => alias === name);
const isOn = upstream => upstream && upstream.enabled !== false;
const isOauth = ({ auth }) => /oauth/.test(auth?.type);
/** The names that clients may call now, as options. */
const callable = () => state.config.aliases.filter(({ upstream }) => isOn(upstreamOf(upstream))).map(({ alias }) => [alias, alias]);
const PROTOCOLS = [
  { id: 'chat', flag: 'support_chat_completions', path: 'chat/completions', label: 'Chat' },
  { id: 'responses', flag: 'support_responses', path: 'responses', label: 'Responses' },
  { id: 'messages', flag: 'support_anthropic_messages', path: 'messages', label: 'Messages' },
];
