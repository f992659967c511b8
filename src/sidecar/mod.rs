//! THE NEIGHBOUR. CLIProxyAPI as a child process: it holds the Claude and Codex accounts and speaks to their providers.
//! Started when an enabled OAuth upstream exists or somebody asks for it, proven to be ours before it is used, restarted
//! with growing pauses, given up with a reason, ended with us. Once it is ready it is just another upstream with an origin
//! and a key. [`plan`] decides, one task does; whoever needs the sidecar asks the [`Sidecar`] handle.

pub mod accounts;
pub mod api;
pub mod files;
pub mod lines;
pub mod login;
pub mod pasted;
pub mod plan;
mod probe;
pub mod process;
pub mod progress;
pub mod quota;
mod task;

use crate::error::{Error, Kind};
use crate::log;
use crate::net::origin::{Origin, is_loopback};
use crate::net::tls::TlsSettings;
use crate::net::{First, race};
use crate::wire::url::{Base, Scheme};
use accounts::Account;
use api::{Management, Members};
use files::{Content, Folder};
use login::Logins;
use plan::State;
use process::{Order, Places};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use task::{Command, Task};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// How long a request waits for a start, unless its caller says otherwise.
pub const READY_WAIT: Duration = Duration::from_secs(10);
/// Commands that wait for the task; each is carried out at once, so more than a few are never there.
const COMMANDS_MAX: usize = 256;
/// When to come back while it is being started.
const RETRY_WHILE_STARTING_S: u64 = 2;
/// How long after a broken connection its end may take to become known: it is reported within milliseconds.
const NEWS_LIMIT: Duration = Duration::from_secs(1);
/// For the last report of an ended process, beyond the time it has to end.
const SHUTDOWN_SLACK: Duration = Duration::from_secs(3);

/// A secret text. Its debug output is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Arc<str>);

impl Key {
    /// That secret.
    pub fn new(text: impl Into<Arc<str>>) -> Key {
        Key(text.into())
    }

    /// The text itself, for where it is sent or written.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who runs the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manage {
    /// We do, if its endpoint is on loopback and plain HTTP.
    Auto,
    /// Someone else does.
    Never,
}

/// What the configuration says of the sidecar.
#[derive(Clone)]
pub struct Settings {
    /// Who runs it.
    pub manage: Manage,
    /// Its address.
    pub endpoint: Base,
    /// The program's name or path.
    pub binary: String,
    /// Where to look for the program.
    pub places: Places,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The key of an endpoint that someone else runs.
    pub api_key: Option<Key>,
    /// The management key of an endpoint that someone else runs.
    pub management_key: Option<Key>,
    /// The sidecar's own egress proxy.
    pub proxy_url: Option<Key>,
    /// Its environment, see [`process::passed_on`].
    pub environment: Vec<(String, OsString)>,
    /// For an https endpoint that someone else runs.
    pub tls: TlsSettings,
    /// How long a login waits for what the user pastes, see [`login::LOGIN_LIMIT`].
    pub login_limit: Duration,
}

impl Settings {
    /// Whether we run it.
    pub fn is_managed(&self) -> bool {
        let url = &self.endpoint.url;
        self.manage == Manage::Auto && url.scheme == Scheme::Http && is_loopback(&url.host)
    }

    fn content(&self) -> Content {
        let url = &self.endpoint.url;
        // A name would be looked up by the sidecar, and it binds one address only.
        let host = match url.host.parse::<std::net::IpAddr>() {
            Ok(_) => url.host.clone(),
            Err(_) => "127.0.0.1".to_owned(),
        };
        Content {
            host,
            port: url.port,
            proxy_url: self.proxy_url.clone(),
        }
    }

    fn order(&self) -> Order {
        Order {
            binary: self.binary.clone(),
            places: self.places.clone(),
            folder: Folder::new(&self.data_dir),
            content: self.content(),
            environment: self.environment.clone(),
        }
    }

    /// Whether an endpoint that someone else runs is another one, or spoken to with other keys.
    fn differs_outside(&self, other: &Settings) -> bool {
        let (ours, theirs) = (&self.endpoint.url, &other.endpoint.url);
        ours != theirs
            || self.api_key != other.api_key
            || self.management_key != other.management_key
    }

    /// What another process is needed for.
    fn needs_restart(&self, other: &Settings) -> bool {
        let without_proxy = |settings: &Settings| {
            let mut content = settings.content();
            content.proxy_url = None;
            content
        };
        without_proxy(self) != without_proxy(other)
            || self.binary != other.binary
            || self.places != other.places
            || self.data_dir != other.data_dir
            || self.environment != other.environment
    }
}

/// Where to send requests, and with which key.
#[derive(Clone)]
pub struct Ready {
    /// The sidecar.
    pub origin: Origin,
    /// Its key; None: the endpoint that someone else runs wants none.
    pub api_key: Option<Key>,
    /// Which start it is of; 0 where someone else runs it.
    number: u64,
}

impl Ready {
    /// Whether both are the same process.
    fn is(&self, other: &Ready) -> bool {
        self.number == other.number
    }
}

/// One running sidecar: requests and management.
pub(crate) struct Link {
    ready: Ready,
    management: Management,
}

/// How the sidecar is, for whoever watches.
#[derive(Clone)]
pub struct View {
    /// Where it stands; Ready for one that someone else runs, whose state only its answers tell.
    pub state: State,
    /// Why it last failed.
    pub reason: Option<String>,
    /// Its version, once it told.
    pub version: Option<String>,
    /// Its process, if it is ours and runs.
    pub pid: Option<u32>,
    /// Whether we run it.
    pub managed: bool,
    /// Its address, without user info.
    pub endpoint: String,
    /// How often it was started again after a failure.
    pub restarts: u64,
    over: bool,
    link: Option<Arc<Link>>,
}

/// The words for the state.
pub const STATE_NAMES: [&str; 6] = [
    "external", "stopped", "starting", "ready", "backoff", "given_up",
];

impl View {
    /// The state in one word of [`STATE_NAMES`].
    pub fn state_name(&self) -> &'static str {
        match self.state {
            _ if !self.managed => "external",
            State::Stopped => "stopped",
            State::Starting { .. } => "starting",
            State::Ready { .. } => "ready",
            State::Backoff { .. } => "backoff",
            State::GivenUp { .. } => "given_up",
        }
    }

    /// Writes `{"state","reason","version","pid","endpoint","managed","restarts","retry_in_s"}`.
    pub fn write_json(&self, now: Instant, out: &mut Vec<u8>) {
        let mut members = Members::open(out);
        members.text("state", self.state_name());
        members.maybe_text("reason", self.reason.as_deref());
        members.maybe_text("version", self.version());
        match self.pid {
            Some(pid) => members.raw("pid", pid),
            None => members.raw("pid", "null"),
        }
        members.text("endpoint", &self.endpoint);
        members.raw("managed", self.managed);
        members.raw("restarts", self.restarts);
        match self.state {
            State::Backoff { until } | State::GivenUp { until } => {
                members.raw("retry_in_s", seconds_until(until, now));
            }
            _ => members.raw("retry_in_s", "null"),
        }
        members.close();
    }

    /// Its version, once an answer told it.
    pub fn version(&self) -> Option<&str> {
        let told = self
            .link
            .as_ref()
            .and_then(|link| link.management.version());
        self.version.as_deref().or(told)
    }

    fn down(&self, what: &str, retry_after_s: u64) -> Error {
        let reason = self.reason.as_deref().unwrap_or(what);
        let retry_after_s = u32::try_from(retry_after_s).unwrap_or(u32::MAX);
        Error::gateway(
            Kind::SidecarDown,
            format!("the sidecar (CLIProxyAPI) is not ready: {reason}"),
        )
        .retry_after(retry_after_s.max(1))
    }
}

fn seconds_until(until: Instant, now: Instant) -> u64 {
    until.saturating_duration_since(now).as_secs_f64().ceil() as u64
}

/// The handle. Clones are the same sidecar.
#[derive(Clone)]
pub struct Sidecar {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<View>,
    folder: watch::Receiver<Folder>,
    logins: Arc<Logins>,
    login_limit: Duration,
    runtime: Handle,
}

impl Sidecar {
    /// Starts the task on the runtime this is called in, which must live as long as the process. The sidecar itself is
    /// started once it is wanted or asked for.
    pub fn start(settings: Settings) -> Sidecar {
        let (commands, todo) = mpsc::channel(COMMANDS_MAX);
        let (folder, folder_seen) = watch::channel(Folder::new(&settings.data_dir));
        let login_limit = settings.login_limit;
        let task = Task::new(settings, commands.clone(), folder);
        let (view, view_seen) = watch::channel(task.view());
        // It runs free: it ends with the process, and its child with it (`kill_on_drop`, and the death signal).
        tokio::spawn(task.run(todo, view));
        Sidecar {
            commands,
            view: view_seen,
            folder: folder_seen,
            logins: Arc::default(),
            login_limit,
            runtime: Handle::current(),
        }
    }

    /// Whether an enabled OAuth upstream exists. The view shows it when this returns.
    pub async fn want(&self, wanted: bool) {
        self.tell(|done| Command::Want(wanted, done)).await;
    }

    /// The settings after a reload. Only what needs it restarts the sidecar; another proxy is written into its configuration.
    /// The view shows it when this returns.
    pub async fn update(&self, settings: Settings) {
        let settings = Box::new(settings);
        self.tell(|done| Command::Update(settings, done)).await;
    }

    /// Another try now, whatever happened before: the user's wish.
    pub async fn retry(&self) {
        self.tell(Command::Retry).await;
    }

    /// What to watch.
    pub fn state(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Where to send a request. Asks for a start if it does not run, and waits for it until the deadline, but not for what
    /// cannot come in time.
    ///
    /// # Errors
    /// [`Kind::SidecarDown`] with the reason and when to try again.
    pub async fn ready(&self, deadline: Instant) -> Result<Ready, Error> {
        Ok(self.link(deadline).await?.ready.clone())
    }

    /// The key that requests to it carry now, so that no answer repeats it.
    pub fn api_key(&self) -> Option<Key> {
        let view = self.view.borrow();
        view.link
            .as_ref()
            .and_then(|link| link.ready.api_key.clone())
    }

    pub(crate) async fn link(&self, deadline: Instant) -> Result<Arc<Link>, Error> {
        if let Some(link) = &self.view.borrow().link {
            return Ok(link.clone());
        }
        self.tell(Command::Ask).await;
        let mut view = self.view.clone();
        loop {
            let now = Instant::now();
            {
                let view = view.borrow_and_update();
                match view.state {
                    _ if view.over => return Err(view.down("the gateway is ending", 1)),
                    State::GivenUp { until } => {
                        return Err(view.down("it failed", seconds_until(until, now)));
                    }
                    State::Backoff { until } if until >= deadline => {
                        return Err(view.down("it failed", seconds_until(until, now)));
                    }
                    _ => {}
                }
                if let Some(link) = &view.link {
                    return Ok(link.clone());
                }
                if now >= deadline {
                    return Err(view.down("it is being started", RETRY_WHILE_STARTING_S));
                }
            }
            let late = tokio::time::sleep_until(deadline.into());
            if let First::A(Err(_)) = race(view.changed(), late).await {
                return Err(view.borrow().down("the gateway is ending", 1));
            }
        }
    }

    /// What a broken connection to that sidecar means. One of ours is ending or has crashed: not ready, with the reason and
    /// when to come back, instead of an upstream that cannot be reached. Any other error is as it was.
    pub async fn explain(&self, link: &Ready, error: Error) -> Error {
        if error.kind != Kind::Unreachable || !self.view.borrow().managed {
            return error;
        }
        let mut view = self.view.clone();
        // Another process, or an end whose reason is known.
        let is_new = |view: &View| match &view.link {
            Some(now) => !now.ready.is(link),
            None => !matches!(view.state, State::Ready { .. }),
        };
        let news = view.wait_for(is_new);
        if let First::A(Ok(view)) = race(news, tokio::time::sleep(NEWS_LIMIT)).await {
            let wait_s = match view.state {
                State::Backoff { until } | State::GivenUp { until } => {
                    seconds_until(until, Instant::now())
                }
                _ => RETRY_WHILE_STARTING_S,
            };
            return view.down("it was ended while it was asked", wait_s);
        }
        let what = format!(
            "it runs and takes no requests, so it is probably ending: {}",
            error.message
        );
        view.borrow().down(&what, RETRY_WHILE_STARTING_S)
    }

    /// The same for a call of its management.
    async fn told<T>(&self, link: &Link, result: Result<T, Error>) -> Result<T, Error> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.explain(&link.ready, error).await),
        }
    }

    /// Ends it and waits until it is gone: a few seconds at most.
    pub async fn shutdown(&self) {
        let limit = process::END_LIMIT + SHUTDOWN_SLACK;
        let over = self.tell(Command::Shutdown);
        if let First::B(()) = race(over, tokio::time::sleep(limit)).await {
            log::warn!("sidecar: still there at the end of the gateway");
        }
    }

    /// Sends a command and waits until it is carried out. Errors mean that the task has ended, which it does with the
    /// process only; whoever asks next for the sidecar is told.
    async fn tell(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, carried_out) = oneshot::channel();
        let _ = self.commands.send(command(done)).await;
        let _ = carried_out.await;
    }

    // ------------------------------------------------------------------------------------------------------- accounts

    /// The sidecar, for a call of the user's.
    async fn called(&self) -> Result<Arc<Link>, Error> {
        self.link(Instant::now() + READY_WAIT).await
    }

    /// The accounts: of the running sidecar, else as their files show them. Nothing is started.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        let (link, is_ours) = {
            let view = self.view.borrow();
            (view.link.clone(), view.managed)
        };
        let listed = match link {
            Some(link) => Some(accounts::list(&link.management).await),
            None => None,
        };
        let mut accounts = match listed {
            // One of ours that cannot be reached is ending, or has just crashed.
            Some(Err(error)) if is_ours && error.kind == Kind::Unreachable => {
                self.accounts_of_files()
            }
            Some(listed) => listed?,
            None => return Ok(self.accounts_of_files()),
        };
        for account in &mut accounts {
            self.complete_account(account);
        }
        Ok(accounts)
    }

    fn accounts_of_files(&self) -> Vec<Account> {
        let folder = self.folder.borrow().clone();
        let files = folder.read_accounts().into_iter();
        files.map(Account::of_file).collect()
    }

    /// The list has no expiry, and forgets the last refresh at a restart; the account's file has both, where it is ours.
    fn complete_account(&self, account: &mut Account) {
        if !self.view.borrow().managed {
            return;
        }
        let file = self.folder.borrow().read_account(&account.name);
        if let Some(file) = file {
            account.expires_at = file.expires_at;
            if account.last_refresh.is_empty() {
                account.last_refresh = file.last_refresh;
            }
        }
    }

    /// The models of one account. Starts the sidecar if it does not run.
    pub async fn account_models(&self, name: &str) -> Result<Vec<accounts::Model>, Error> {
        let link = self.called().await?;
        let models = accounts::models(&link.management, name).await;
        self.told(&link, models).await
    }

    /// The ids of the models that the accounts of that provider offer, from its list at `path`. Starts the sidecar if it
    /// does not run.
    pub async fn models(
        &self,
        provider: accounts::Provider,
        path: &str,
    ) -> Result<Vec<String>, Error> {
        let link = self.called().await?;
        let models = accounts::offered(&link.ready, path, provider).await;
        self.told(&link, models).await
    }

    /// Switches an account off or on. Starts the sidecar if it does not run.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), Error> {
        let link = self.called().await?;
        let done = accounts::set_disabled(&link.management, name, disabled).await;
        self.told(&link, done).await
    }

    /// Logs one account out. Starts the sidecar if it does not run.
    pub async fn delete_account(&self, name: &str) -> Result<(), Error> {
        let link = self.called().await?;
        let done = accounts::delete(&link.management, name).await;
        self.told(&link, done).await
    }

    /// Logs out every account of that provider; how many there were. Starts the sidecar if it does not run.
    pub async fn log_out(&self, provider: accounts::Provider) -> Result<usize, Error> {
        let link = self.called().await?;
        let count = accounts::delete_all(&link.management, provider).await;
        self.told(&link, count).await
    }

    /// The allowances of every Claude and Codex account. Starts the sidecar if it does not run.
    pub async fn quota(&self) -> Result<Vec<quota::Quota>, Error> {
        let link = self.called().await?;
        let quotas = quota::of_all(&link.management).await;
        self.told(&link, quotas).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(manage: Manage, endpoint: &str) -> Settings {
        Settings {
            manage,
            endpoint: Base::parse(endpoint).unwrap(),
            binary: process::PROGRAM.into(),
            places: Places::default(),
            data_dir: "data".into(),
            api_key: None,
            management_key: None,
            proxy_url: None,
            environment: Vec::new(),
            tls: TlsSettings::public(),
            login_limit: login::LOGIN_LIMIT,
        }
    }

    #[test]
    fn only_a_plain_loopback_endpoint_is_ours_to_run() {
        let is_managed = |manage, endpoint| settings(manage, endpoint).is_managed();
        assert!(is_managed(Manage::Auto, "http://127.0.0.1:8317"));
        assert!(is_managed(Manage::Auto, "http://localhost:8317"));
        assert!(is_managed(Manage::Auto, "http://[::1]:8317"));
        assert!(!is_managed(Manage::Never, "http://127.0.0.1:8317"));
        assert!(!is_managed(Manage::Auto, "http://sidecar:8317"));
        assert!(!is_managed(Manage::Auto, "https://127.0.0.1:8317"));
    }

    #[test]
    fn another_port_needs_another_process_and_another_proxy_does_not() {
        let ours = settings(Manage::Auto, "http://localhost:8317");
        let mut other = ours.clone();
        other.proxy_url = Some(Key::new("http://proxy:1"));
        other.endpoint = Base::parse("http://127.0.0.1:8317").unwrap(); // the same address
        assert!(!ours.needs_restart(&other));
        other.endpoint = Base::parse("http://127.0.0.1:8318").unwrap();
        assert!(ours.needs_restart(&other));
        let mut elsewhere = ours.clone();
        elsewhere.data_dir = "other".into();
        assert!(ours.needs_restart(&elsewhere));
    }

    #[test]
    fn a_key_is_never_shown() {
        assert_eq!(format!("{:?}", Some(Key::new("sk-secret"))), "Some(***)");
    }
}
