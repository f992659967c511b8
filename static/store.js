// What the page knows, how it learns it, and how it saves: an edit is a function of the newest configuration, so it can
// be made again when somebody else saved meanwhile.

const state = {
  session: null, // what GET /api/session said; null: not asked yet
  config: null,
  etag: '',
  status: null,
  reachable: true,
  fetched: {}, // upstream name → {loading, models: [{id, max_model_len}], error}
  accounts: null, // what the sidecar said: {providers, quota} or {error}
  view: 'models',
  argument: '',
  dialogs: [],
  toasts: [],
  login: { key: '', error: '', busy: false },
  filter: '',
  menu: '', // the id of the menu that was opened last
  busy: new Set(), // controls whose change is on its way
};

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let drawing = false;
/** Draws soon, once, however often it is asked. */
function schedule() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(drawNow);
  setTimeout(drawNow, 60); // a hidden tab has no frames
}
/** Draws what is due at once: after a click, before the next key. */
function drawNow() {
  if (!drawing) return;
  drawing = false;
  render();
}

async function loadConfig() {
  const [config, etag] = await ask('GET', 'api/config');
  config.upstreams ??= [];
  config.aliases ??= [];
  config.client_api_keys ??= [];
  state.config = config;
  state.etag = etag;
  forgetModels();
  schedule();
}

/** Drops fetched models of upstreams that are gone or point elsewhere now. */
function forgetModels() {
  for (const name of Object.keys(state.fetched)) {
    const upstream = upstreamOf(name);
    if (!upstream || upstream.base_url !== state.fetched[name].base_url || upstream.enabled === false) delete state.fetched[name];
  }
  for (const upstream of state.config.upstreams) if (upstream.enabled !== false && !state.fetched[upstream.name]) loadModels(upstream.name);
}

async function loadModels(name) {
  const entry = { loading: true, models: state.fetched[name]?.models ?? [], error: '', base_url: upstreamOf(name)?.base_url };
  state.fetched[name] = entry;
  schedule();
  try {
    const [answer] = await ask('GET', `api/upstream-models/${encodeURIComponent(name)}`);
    entry.models = answer.models ?? (answer.data ?? []).map((id) => ({ id }));
  } catch (failure) {
    entry.error = failure.message;
    entry.retry = failure.status === 0 || failure.status === 401;
  }
  entry.loading = false;
  schedule();
}

async function start() {
  const fragment = /^#key=(.+)$/.exec(location.hash);
  if (fragment) history.replaceState(null, '', `${location.pathname}${location.search}#/models`);
  if (fragment) await signIn(decodeURIComponent(fragment[1]));
  while (!state.session) {
    try {
      [state.session] = await ask('GET', 'api/session');
    } catch {
      await sleep(RETRY_MS);
    }
  }
  schedule();
  poll();
}

const POLL_MS = 3000;
const RETRY_MS = 1500;

/** For ever: state of the gateway, and the configuration whenever it is another one. */
async function poll() {
  for (;;) {
    if (state.session?.authenticated && !document.hidden) {
      try {
        if (!state.config) await loadConfig();
        [state.status] = await ask('GET', 'api/status');
        const etag = state.status.config?.etag;
        if (etag && etag !== state.etag && !saving) {
          const before = JSON.stringify(state.config);
          await loadConfig();
          if (JSON.stringify(state.config) !== before) toast(t('changed_elsewhere'));
        }
        if (!state.accounts && state.config.upstreams.some(isOauth)) loadAccounts();
        schedule();
      } catch {
        // `ask` has noted what there is to note; the next round tries again.
      }
    }
    await sleep(state.reachable ? POLL_MS : RETRY_MS);
  }
}

/** The gateway answers again. */
async function returned() {
  if (state.session?.authenticated === false) return;
  for (const [name, entry] of Object.entries(state.fetched)) if (entry.retry) loadModels(name);
  listen();
}

let saving = null;
const MERGE_ROUNDS_MAX = 6;

/**
 * Saves an edit: a function of the newest configuration and of the choices made about clashes, giving
 * `{changes, clashes}`. Saves run one after another.
 */
async function save(edit) {
  while (saving) await saving.catch(() => {});
  saving = saveNow(edit);
  try {
    return await saving;
  } finally {
    saving = null;
    schedule();
  }
}

async function saveNow(edit) {
  let choices = null;
  for (let round = 0; round < MERGE_ROUNDS_MAX; round++) {
    const { changes, clashes } = edit(clone(state.config), choices);
    if (clashes?.length) {
      choices = await askAboutClashes(clashes);
      if (!choices) throw new Failure(0, t('not_saved'));
      continue;
    }
    if (!changes) return {};
    try {
      const [answer] = await ask('PUT', 'api/config', changes, { etag: state.etag });
      await loadConfig();
      if (answer.kept) toast(t('comments_kept', { path: answer.kept }));
      if (answer.saved === false) toast(t('saved_in_memory'));
      return answer;
    } catch (failure) {
      if (failure.status !== 412) throw failure;
      await loadConfig();
    }
  }
  throw new Failure(412, t('too_many_writers'));
}

/**
 * Three-way merge of one entry. `choices[key]` is 'mine' or 'theirs' where both changed.
 * A null side means that the entry is not there.
 */
function merge(base, mine, theirs, choices) {
  const merged = {};
  const clashes = [];
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    let value = mine[key];
    if (!same(theirs[key], base[key])) {
      if (same(mine[key], base[key]) || same(mine[key], theirs[key])) value = theirs[key];
      else if (choices?.[key]) value = choices[key] === 'mine' ? mine[key] : theirs[key];
      else clashes.push({ key, mine: mine[key], theirs: theirs[key] });
    }
    if (value !== undefined) merged[key] = value;
  }
  return { merged, clashes };
}

/**
 * The edit that turns the entry `base` of a list into `mine`; null for "not there". `also(config)` changes what hangs
 * on it and returns the names of the other lists it touched.
 */
function entryEdit(list, id, base, mine, also) {
  return (config, choices) => {
    const entries = config[list];
    const at = base ? entries.findIndex((entry) => entry[id] === base[id]) : -1;
    if (!base) {
      entries.push(mine);
    } else if (at < 0) {
      if (!mine) return {};
      if (!choices?.['']) return { clashes: [{ key: '', mine: mine[id], theirs: undefined }] };
      if (choices[''] === 'theirs') return {};
      entries.push(mine);
    } else if (!mine) {
      entries.splice(at, 1);
    } else {
      const { merged, clashes } = merge(base, mine, entries[at], choices);
      if (clashes.length) return { clashes };
      entries[at] = merged;
    }
    const touched = also?.(config) ?? [];
    return { changes: Object.fromEntries([list, ...touched].map((name) => [name, config[name]])) };
  };
}

/** Saves the change of one control (a switch, a tag) and tells when it did not work. `control` is busy meanwhile. */
async function quickSave(control, edit) {
  if (state.busy.has(control)) return false;
  state.busy.add(control);
  schedule();
  try {
    await save(edit);
    return true;
  } catch (failure) {
    toast(failure.message, 'bad');
    return false;
  } finally {
    state.busy.delete(control);
    schedule();
  }
}

const upstreamOf = (name) => state.config?.upstreams.find((upstream) => upstream.name === name);
const aliasOf = (name) => state.config?.aliases.find((alias) => alias.alias === name);
const isOauth = (upstream) => upstream.auth?.type === 'anthropic_oauth' || upstream.auth?.type === 'codex_oauth';
const PROTOCOLS = [
  { id: 'chat', flag: 'support_chat_completions', path: 'chat/completions', label: 'Chat' },
  { id: 'responses', flag: 'support_responses', path: 'responses', label: 'Responses' },
  { id: 'messages', flag: 'support_anthropic_messages', path: 'messages', label: 'Messages' },
];
