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
pub mod quota;

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
use plan::{Action, Event, Plan, State};
use probe::Proof;
use process::{Failure, Launched, Order, Places};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// How long a request waits for a start, unless its caller says otherwise.
pub const READY_WAIT: Duration = Duration::from_secs(10);
/// Commands that wait for the task; each is carried out at once, so more than a few are never there.
const COMMANDS_MAX: usize = 256;
/// When to come back while it is being started.
const RETRY_WHILE_STARTING_S: u64 = 2;
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
    over: bool,
    link: Option<Arc<Link>>,
}

impl View {
    /// The state in one word: `external`, `stopped`, `starting`, `ready`, `backoff` or `given_up`.
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

    /// Writes `{"state","reason","version","pid","retry_in_s"}`.
    pub fn write_json(&self, now: Instant, out: &mut Vec<u8>) {
        let mut members = Members::open(out);
        members.text("state", self.state_name());
        members.maybe_text("reason", self.reason.as_deref());
        members.maybe_text("version", self.version());
        match self.pid {
            Some(pid) => members.raw("pid", pid),
            None => members.raw("pid", "null"),
        }
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

enum Command {
    Want(bool, oneshot::Sender<()>),
    Ask(oneshot::Sender<()>),
    Retry(oneshot::Sender<()>),
    Update(Box<Settings>, oneshot::Sender<()>),
    Shutdown(oneshot::Sender<()>),
    /// What a start came to; its number tells it from an older one.
    Launched(u64, Result<Box<Launched>, Failure>),
    Proven(u64, Result<Proof, String>),
    Exited(u64, String),
}

/// The handle. Clones are the same sidecar.
#[derive(Clone)]
pub struct Sidecar {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<View>,
    folder: watch::Receiver<Folder>,
    logins: Arc<Logins>,
    runtime: Handle,
}

impl Sidecar {
    /// Starts the task on the runtime this is called in, which must live as long as the process. The sidecar itself is
    /// started once it is wanted or asked for.
    pub fn start(settings: Settings) -> Sidecar {
        let (commands, todo) = mpsc::channel(COMMANDS_MAX);
        let (folder, folder_seen) = watch::channel(Folder::new(&settings.data_dir));
        let task = Task {
            plan: Plan::new(),
            number: 0,
            wanted: false,
            current: None,
            asleep: Vec::new(),
            over: false,
            external: (!settings.is_managed()).then(|| external(&settings)),
            settings,
            reports: commands.clone(),
            folder,
        };
        let (view, view_seen) = watch::channel(task.view());
        // It runs free: it ends with the process, and its child with it (`kill_on_drop`, and the death signal).
        tokio::spawn(task.run(todo, view));
        Sidecar {
            commands,
            view: view_seen,
            folder: folder_seen,
            logins: Arc::default(),
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

    async fn managed(&self) -> Result<Arc<Link>, Error> {
        self.link(Instant::now() + READY_WAIT).await
    }

    /// The accounts: of the running sidecar, else as their files show them. Nothing is started.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        let link = self.view.borrow().link.clone();
        let folder = self.folder.borrow().clone();
        let Some(link) = link else {
            return Ok(folder
                .read_accounts()
                .into_iter()
                .map(Account::of_file)
                .collect());
        };
        let mut accounts = accounts::list(&link.management).await?;
        for account in &mut accounts {
            self.complete_account(account);
        }
        Ok(accounts)
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
        accounts::models(&self.managed().await?.management, name).await
    }

    /// Switches an account off or on. Starts the sidecar if it does not run.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), Error> {
        accounts::set_disabled(&self.managed().await?.management, name, disabled).await
    }

    /// Logs one account out. Starts the sidecar if it does not run.
    pub async fn delete_account(&self, name: &str) -> Result<(), Error> {
        accounts::delete(&self.managed().await?.management, name).await
    }

    /// Logs out every account of that provider; how many there were. Starts the sidecar if it does not run.
    pub async fn log_out(&self, provider: accounts::Provider) -> Result<usize, Error> {
        accounts::delete_all(&self.managed().await?.management, provider).await
    }

    /// The allowances of every Claude and Codex account. Starts the sidecar if it does not run.
    pub async fn quota(&self) -> Result<Vec<quota::Quota>, Error> {
        quota::of_all(&self.managed().await?.management).await
    }
}

/// The link to an endpoint that someone else runs.
fn external(settings: &Settings) -> Arc<Link> {
    let origin = Origin::new(&settings.endpoint.url, &settings.tls, None);
    let path = &settings.endpoint.url.path;
    Arc::new(Link {
        management: Management::new(origin.clone(), path, settings.management_key.clone()),
        ready: Ready {
            origin,
            api_key: settings.api_key.clone(),
        },
    })
}

/// The process that exists now.
struct Current {
    pid: u32,
    /// Sent or dropped: it is to end.
    stop: Option<oneshot::Sender<()>>,
    link: Arc<Link>,
    version: Option<String>,
    since: Instant,
}

struct Task {
    plan: Plan,
    settings: Settings,
    /// The number of the latest start.
    number: u64,
    wanted: bool,
    current: Option<Current>,
    /// The link to a sidecar that someone else runs; None: we run it.
    external: Option<Arc<Link>>,
    /// Who waits for the end of it all.
    asleep: Vec<oneshot::Sender<()>>,
    over: bool,
    reports: mpsc::Sender<Command>,
    folder: watch::Sender<Folder>,
}

impl Task {
    async fn run(mut self, mut todo: mpsc::Receiver<Command>, view: watch::Sender<View>) {
        loop {
            let next = match self.plan.wake_at() {
                None => First::A(todo.recv().await),
                Some(at) => race(todo.recv(), tokio::time::sleep_until(at.into())).await,
            };
            let mut answer = None;
            match next {
                First::B(()) => self.happened(Event::Time),
                First::A(Some(command)) => answer = self.carry_out(command),
                First::A(None) => return, // unreachable while the task itself holds a sender
            }
            view.send_replace(self.view());
            if let Some(answer) = answer {
                let _ = answer.send(()); // who asked may have left
            }
            if self.over && self.plan.is_idle() {
                for waiting in self.asleep.drain(..) {
                    let _ = waiting.send(());
                }
            }
        }
    }

    fn view(&self) -> View {
        let current = self.current.as_ref();
        let is_ready = matches!(self.plan.state(), State::Ready { .. });
        let own = current
            .filter(|_| is_ready)
            .map(|current| current.link.clone());
        View {
            state: self.plan.state(),
            reason: self.plan.reason().map(str::to_owned),
            version: current.and_then(|current| current.version.clone()),
            pid: current.map(|current| current.pid),
            managed: self.external.is_none(),
            over: self.over,
            link: self.external.clone().or(own),
        }
    }

    /// Gives whom to tell that it is done.
    fn carry_out(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        match command {
            Command::Want(wanted, done) => {
                self.wanted = wanted;
                if self.external.is_none() {
                    self.happened(Event::Want(wanted));
                }
                return Some(done);
            }
            Command::Ask(done) => {
                if self.external.is_none() {
                    self.happened(Event::Ask);
                }
                return Some(done);
            }
            Command::Retry(done) => {
                // One that someone else runs has nothing to be started; a key it refused must not be tried at every wish.
                if self.external.is_none() {
                    self.happened(Event::Retry);
                }
                return Some(done);
            }
            Command::Update(settings, done) => {
                self.update(*settings);
                return Some(done);
            }
            Command::Shutdown(done) => {
                self.over = true;
                self.asleep.push(done);
                self.happened(Event::Shutdown);
            }
            Command::Launched(number, result) => self.launched(number, result),
            Command::Proven(number, result) if number == self.number => match result {
                Ok(proof) => {
                    if let Some(current) = &mut self.current {
                        log::info!(
                            "sidecar: ready",
                            version = proof.version.as_deref().unwrap_or("unknown"),
                            accounts = proof.accounts,
                            after_ms = current.since.elapsed().as_millis()
                        );
                        current.version = proof.version;
                    }
                    self.happened(Event::Proven);
                }
                Err(reason) => self.happened(Event::Unproven(reason)),
            },
            Command::Proven(..) => {} // of a process that is gone
            Command::Exited(number, reason) => {
                if number == self.number {
                    self.current = None;
                }
                self.happened(Event::Exited(reason));
            }
        }
        None
    }

    fn update(&mut self, settings: Settings) {
        let old = std::mem::replace(&mut self.settings, settings);
        let new = &self.settings;
        if old.data_dir != new.data_dir {
            self.folder.send_replace(Folder::new(&new.data_dir));
        }
        match (old.is_managed(), new.is_managed()) {
            (_, false) => {
                // Otherwise unchanged: what is known of its key stays known, so that a reload is not another try.
                if self.external.is_none() || old.differs_outside(new) {
                    self.external = Some(external(new));
                }
                self.happened(Event::Release);
            }
            (false, true) => {
                self.external = None;
                self.happened(Event::Change);
                self.happened(Event::Want(self.wanted));
            }
            (true, true) if old.needs_restart(new) => self.happened(Event::Change),
            (true, true) => {
                if old.proxy_url != new.proxy_url
                    && let Some(current) = &self.current
                {
                    let order = new.order();
                    // It runs free: it ends within a few seconds.
                    tokio::spawn(probe::rewrite_config(current.link.clone(), order));
                }
            }
        }
    }

    fn launched(&mut self, number: u64, result: Result<Box<Launched>, Failure>) {
        let launched = match result {
            Ok(launched) => launched,
            Err(Failure { reason, hopeless }) => {
                return self.happened(Event::Failed { reason, hopeless });
            }
        };
        let mut url = self.settings.endpoint.url.clone();
        url.host = self.settings.content().host;
        let origin = Origin::new(&url, &self.settings.tls, None);
        let link = Arc::new(Link {
            management: Management::new(origin.clone(), "", Some(launched.management_key.clone())),
            ready: Ready {
                origin,
                api_key: Some(launched.api_key.clone()),
            },
        });
        let (stop, stopped) = oneshot::channel();
        self.current = Some(Current {
            pid: launched.pid,
            stop: Some(stop),
            link: link.clone(),
            version: None,
            since: Instant::now(),
        });
        // Both end with the process, and the first reports its end: that is what their handles would tell.
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let reason = launched.keep(stopped).await;
            let _ = reports.send(Command::Exited(number, reason)).await;
        });
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let proof = probe::prove(&link).await;
            let _ = reports.send(Command::Proven(number, proof)).await;
        });
        self.happened(Event::Launched);
    }

    fn happened(&mut self, event: Event) {
        let failures = self.plan.failures();
        let now = Instant::now();
        let action = self.plan.on(event, now);
        if self.plan.failures() > failures {
            let reason = self.plan.reason().unwrap_or_default();
            match self.plan.state() {
                State::GivenUp { .. } => {
                    log::error!(
                        "sidecar: given up",
                        reason = reason,
                        failures = failures + 1
                    );
                }
                State::Backoff { until } => {
                    let pause = until.saturating_duration_since(now).as_millis();
                    log::warn!("sidecar: failed", reason = reason, again_in_ms = pause);
                }
                _ => {}
            }
        }
        match action {
            Action::Nothing => {}
            Action::Launch => {
                self.number += 1;
                let (number, order) = (self.number, self.settings.order());
                let reports = self.reports.clone();
                // It ends with its report.
                tokio::spawn(async move {
                    let result = process::launch(order).await.map(Box::new);
                    let _ = reports.send(Command::Launched(number, result)).await;
                });
            }
            Action::End => {
                if let Some(current) = &mut self.current {
                    current.stop.take(); // dropped: `keep` ends it and reports
                }
            }
        }
    }
}
