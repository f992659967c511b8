//! The one task that owns the sidecar's plan and its process: commands and reports in, one action at a time out.

use super::api::Management;
use super::files::Folder;
use super::plan::{Action, Event, Plan, State};
use super::probe::{self, Proof};
use super::process::{self, Failure, Launched};
use super::{Link, Ready, Settings, View};
use crate::log;
use crate::net::origin::Origin;
use crate::net::{First, race};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};

/// What the task is told, with whom to tell that it is done.
pub(super) enum Command {
    Want(bool, oneshot::Sender<()>),
    Ask(oneshot::Sender<()>),
    Retry(oneshot::Sender<()>),
    Update(Box<Settings>, oneshot::Sender<()>),
    Shutdown(oneshot::Sender<()>),
    /// What a start came to; its number tells it from an older one.
    Launched(u64, Result<Box<Launched>, Failure>),
    Proven(u64, Result<Proof, String>),
    /// The process is gone; why is told by the next report.
    Gone(u64),
    Exited(u64, String),
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
            number: 0,
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
    /// It has ended, and nothing is sent to it any more.
    gone: bool,
}

/// The task.
pub(super) struct Task {
    plan: Plan,
    settings: Settings,
    /// The number of the latest start.
    number: u64,
    /// Starts after a failure.
    restarts: u64,
    wanted: bool,
    current: Option<Current>,
    /// The link to a sidecar that someone else runs; None: we run it.
    external: Option<Arc<Link>>,
    /// Who waits for the end of it all.
    asleep: Vec<oneshot::Sender<()>>,
    over: bool,
    reports: mpsc::Sender<Command>,
    folder: watch::Sender<Folder>,
    /// The reason given up for last, so that asking again and again does not fill the log.
    last_given_up: Option<String>,
}

impl Task {
    /// Of a sidecar with those settings; it hears its own reports through `reports`.
    pub(super) fn new(
        settings: Settings,
        reports: mpsc::Sender<Command>,
        folder: watch::Sender<Folder>,
    ) -> Task {
        Task {
            plan: Plan::new(),
            number: 0,
            restarts: 0,
            wanted: false,
            current: None,
            asleep: Vec::new(),
            over: false,
            external: (!settings.is_managed()).then(|| external(&settings)),
            settings,
            reports,
            folder,
            last_given_up: None,
        }
    }

    /// Runs until the process ends.
    pub(super) async fn run(
        mut self,
        mut todo: mpsc::Receiver<Command>,
        view: watch::Sender<View>,
    ) {
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

    /// What watchers are to see.
    pub(super) fn view(&self) -> View {
        let current = self.current.as_ref();
        let is_ready = matches!(self.plan.state(), State::Ready { .. });
        let own = current
            .filter(|current| is_ready && !current.gone)
            .map(|current| current.link.clone());
        View {
            state: self.plan.state(),
            reason: self.plan.reason().map(str::to_owned),
            version: current.and_then(|current| current.version.clone()),
            pid: current.map(|current| current.pid),
            managed: self.external.is_none(),
            endpoint: {
                let url = &self.settings.endpoint.url;
                format!("{}://{}{}", url.scheme.name(), url.authority(), url.path)
            },
            restarts: self.restarts,
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
            Command::Gone(number) => {
                if let Some(current) = self.current.as_mut().filter(|_| number == self.number) {
                    current.gone = true;
                }
            }
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
                number,
            },
        });
        let (stop, stopped) = oneshot::channel();
        self.current = Some(Current {
            pid: launched.pid,
            stop: Some(stop),
            link: link.clone(),
            version: None,
            since: Instant::now(),
            gone: false,
        });
        // Both end with the process, and the first reports its end: that is what their handles would tell.
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let ended = launched.keep(stopped).await;
            let _ = reports.send(Command::Gone(number)).await;
            let _ = reports
                .send(Command::Exited(number, ended.reason().await))
                .await;
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
                State::GivenUp { .. } if self.last_given_up.as_deref() == Some(reason) => {
                    log::debug!("sidecar: given up again", reason = reason);
                }
                State::GivenUp { .. } => {
                    self.last_given_up = Some(reason.to_owned());
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
                self.restarts += u64::from(self.plan.failures() > 0);
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
