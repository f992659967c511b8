//! Wires the parts together: command line, log, configuration, threads, signals, exit code.

use llm_wrapper::cli::{self, Command};
use llm_wrapper::gateway::admin::{Admin, Keeping};
use llm_wrapper::gateway::demo::serve::{self, DemoUpstream};
use llm_wrapper::gateway::live::Live;
use llm_wrapper::gateway::owner::Owner;
use llm_wrapper::gateway::snapshot::Snapshot;
use llm_wrapper::gateway::{App, health, neighbour, watch as files};
use llm_wrapper::net::buffer::{self, Budget};
use llm_wrapper::net::server::Shared;
use llm_wrapper::net::{First, pool, race, tls};
use llm_wrapper::sidecar::Sidecar;
use llm_wrapper::{clock, log, sys};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// Worker threads at the most: each is a share-nothing gateway of its own.
const THREADS_MAX: usize = 16;
/// How long the last log lines may take.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Descriptors that are no connection's: log, config, listeners, reactors, the sidecar's pipes.
const OTHER_DESCRIPTORS: u64 = 64;
/// How often idle connections and buffers are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// That all connections are in use is not said more often than this.
const FULL_SAID_EVERY: Duration = Duration::from_secs(60);
/// Every so many sweeps, large buffers that nobody used go back to the system.
const SWEEPS_A_RELEASE: u32 = 10;

fn main() -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let command = match cli::parse(std::env::args_os().skip(1), env) {
        Ok(command) => command,
        Err(line) => return complain(&line, 2),
    };
    if let Some(level) = env("LOG").filter(|level| !level.is_empty()) {
        match log::Level::parse(&level) {
            Some(level) => log::set_level(level),
            None => {
                return complain(
                    &format!("LOG={level:?} is not error, warn, info or debug"),
                    2,
                );
            }
        }
    }
    let code = match command {
        Command::Version => say(cli::VERSION),
        Command::Help => say(cli::HELP.trim_end()),
        Command::Check { config } => check(&config),
        Command::Health { url } => match health::ask(&url) {
            Ok(()) => ExitCode::SUCCESS,
            Err(line) => complain(&line, 1),
        },
        Command::Serve { config, addr, demo } => match run(&config, addr, demo) {
            Ok(()) => ExitCode::SUCCESS,
            Err(line) => complain(&line, 1),
        },
    };
    log::flush(LAST_LINES);
    code
}

fn say(text: &str) -> ExitCode {
    let _ = writeln!(io::stdout(), "{text}"); // a closed pipe is no error of ours
    ExitCode::SUCCESS
}

fn complain(line: &str, code: u8) -> ExitCode {
    log::flush(LAST_LINES);
    let _ = writeln!(io::stderr(), "llm-wrapper: {line}");
    ExitCode::from(code)
}

/// Prints every problem of the configuration.
fn check(path: &Path) -> ExitCode {
    match Live::check(path) {
        Err(line) => complain(&line, 1),
        Ok(findings) if findings.problems.is_empty() => {
            say(&format!("{}{} is valid", findings.report(), path.display()))
        }
        Ok(findings) => {
            say(findings.report().trim_end());
            ExitCode::from(1)
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

/// Runs the gateway until it is told to stop. The error is one line.
fn run(config: &Path, addr: SocketAddr, demo: bool) -> Result<(), String> {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or(String::new(), |place| {
            format!("{}:{}", place.file(), place.line())
        });
        log::error!(
            "a bug: a request panicked and its connection is closed",
            place = place
        );
    }));
    let descriptors = sys::raise_descriptor_limit().unwrap_or(1024);
    if let Some(owner) = Owner::from_env(|name| std::env::var(name).ok())? {
        match demo {
            true => owner.take_over(None, None)?,
            false => owner.take_over(Some(config), Live::data_dir(config).as_deref())?,
        }
    }
    let main = runtime().map_err(|error| format!("no reactor: {error}"))?;
    main.block_on(async {
        let (demo_upstream, live) = match demo {
            false => (None, Live::start(config)?),
            true => {
                let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
                let port = listener
                    .local_addr()
                    .map_err(|error| error.to_string())?
                    .port();
                (Some(listener), Live::fixed(&serve::config(port))?)
            }
        };
        let live = Arc::new(live);
        let listener = listen(addr)?;
        let local = listener.local_addr().map_err(|error| error.to_string())?;
        let snapshot = live.snapshot();
        let keeping = if demo {
            Keeping::Memory
        } else {
            Keeping::DataFolder
        };
        let admin = Admin::new(live.clone(), keeping, local);
        warn_of_open_door(&snapshot, local, &admin);

        let wanted = u64::from(snapshot.limits.connections_max);
        let possible = (descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2).max(1);
        if wanted > possible {
            log::warn!(
                "limits.max_connections is cut to what the descriptor limit allows",
                max_connections = possible,
                descriptors = descriptors
            );
        }
        let budget = Arc::new(Budget::new(snapshot.limits.buffered_bytes_max));
        let id_prefix = u64::from_le_bytes(tls::random());
        let sidecar = (!demo).then(|| follow_config(&live));
        let app = Arc::new(App::new(
            live.subscribe(),
            budget.clone(),
            admin,
            sidecar.clone(),
            clock::unix_s(),
            id_prefix,
        ));
        let (stop, stopping) = watch::channel(false);
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        let open = alive.downgrade();
        let shared = Arc::new(Shared {
            connections: Arc::new(Semaphore::new(wanted.min(possible) as usize)),
            stop: stopping.clone(),
            alive,
        });

        // Ends the other threads' runtimes, and so whatever still runs on them.
        let (end, ended) = watch::channel(false);
        let mut threads = Vec::new();
        for number in 1..worker_count() {
            let (listener, app, shared, ended) = (
                clone_of(&listener)?,
                app.clone(),
                shared.clone(),
                ended.clone(),
            );
            let worker = move || worker(listener, app, shared, ended);
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(worker);
            threads.push(thread.map_err(|error| format!("no worker thread: {error}"))?);
        }
        if let Some(listener) = demo_upstream {
            let (alive, _) = mpsc::channel(1);
            let of_its_own = Shared {
                connections: Arc::new(Semaphore::new(wanted.min(possible) as usize)),
                stop: ended.clone(),
                alive,
            };
            tokio::spawn(DemoUpstream::new().serve(listener, of_its_own));
        }
        log::info!(
            "listening",
            addr = local,
            config = if demo {
                Path::new("--demo").display()
            } else {
                config.display()
            },
            upstreams = snapshot.upstreams.len(),
            aliases = snapshot.aliases.len()
        );
        drop(snapshot);

        let reload = Arc::new(Notify::new());
        watch_config(&live, &reload, budget);
        tokio::spawn(sweep());
        // Runs free: it ends with the process.
        tokio::spawn(watch_connections(app.clone(), open, wanted.min(possible)));
        let serving = tokio::spawn(app.serve(listener, shared));
        wait_for_signal(&reload)
            .await
            .map_err(|error| format!("no signals: {error}"))?;

        let drain = live.snapshot().timeouts.drain;
        log::info!(
            "stopping: idle connections are closed, busy ones may finish",
            drain_s = drain.as_secs()
        );
        stop.send_replace(true);
        let _ = serving.await; // ends at once when told to stop
        let ending = async {
            let drained = tokio::time::timeout(drain, all_gone.recv()).await;
            if let Some(sidecar) = &sidecar {
                sidecar.shutdown().await;
            }
            drained
        };
        match race(ending, second_signal()).await {
            First::A(Ok(_)) => log::info!("stopped"),
            First::A(Err(_)) => {
                log::warn!("stopped with requests unfinished: the time to drain is up")
            }
            First::B(()) => {
                log::warn!("stopped at once by a second signal");
                log::flush(LAST_LINES);
                std::process::exit(1);
            }
        }
        end.send_replace(true);
        for thread in threads {
            let _ = thread.join(); // a panicked worker was logged by the hook
        }
        Ok(())
    })
}

/// One worker per core that this process may use: more would only wait for each other.
fn worker_count() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
}

fn worker(
    listener: std::net::TcpListener,
    app: Arc<App>,
    shared: Arc<Shared>,
    mut ended: watch::Receiver<bool>,
) {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            log::error!(
                "a worker thread has no reactor and does not serve",
                error = error
            );
            return;
        }
    };
    runtime.block_on(async {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                tokio::spawn(sweep());
                app.serve(listener, shared).await;
            }
            Err(error) => log::error!("a worker thread cannot listen", error = error),
        }
        // Connections of this thread go on until the process has drained.
        let _ = ended.wait_for(|ended| *ended).await;
    });
}

/// A socket that several threads can accept from. (`SO_REUSEPORT` would let a second gateway take the same port in silence.)
fn listen(addr: SocketAddr) -> Result<TcpListener, String> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let listener = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    });
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{addr} is in use: another program listens there; choose another with --addr"),
        io::ErrorKind::PermissionDenied => format!("{addr} is not allowed for this user: ports under 1024 need a privilege; choose another with --addr"),
        io::ErrorKind::AddrNotAvailable => format!("{addr} is not an address of this host"),
        _ => format!("cannot listen on {addr}: {error}"),
    })
}

fn clone_of(listener: &TcpListener) -> Result<std::net::TcpListener, String> {
    use std::os::fd::AsFd;
    let clone = listener.as_fd().try_clone_to_owned();
    clone
        .map(std::net::TcpListener::from)
        .map_err(|error| format!("cannot share the listening socket: {error}"))
}

fn warn_of_open_door(snapshot: &Snapshot, local: SocketAddr, admin: &Admin) {
    if snapshot.client_keys.is_empty() && !local.ip().is_loopback() {
        let sentence = "anyone who reaches this address may use /v1: set client_api_keys, or listen on 127.0.0.1";
        log::warn!(sentence, addr = local);
        admin.warn_at_start(sentence);
    }
}

/// The sidecar, which this thread's runtime runs: nothing is started until an upstream wants it or someone asks.
fn follow_config(live: &Live) -> Sidecar {
    let folder = live.folder().to_path_buf();
    let sidecar = Sidecar::start(neighbour::settings(&live.snapshot(), &folder));
    // Runs free: it ends with the process.
    tokio::spawn(neighbour::follow(live.subscribe(), folder, sidecar.clone()));
    sidecar
}

/// Follows the configuration file for as long as the process lives.
fn watch_config(live: &Arc<Live>, reload: &Arc<Notify>, budget: Arc<Budget>) {
    let Some(watch) = live.take_watch() else {
        return;
    };
    let (live, reload) = (live.clone(), reload.clone());
    tokio::spawn(async move {
        files::watch(watch, &reload, |look| {
            live.take(look);
            budget.resize(live.snapshot().limits.buffered_bytes_max);
        })
        .await;
    });
}

/// Drops idle upstream connections and buffers of this thread in time.
async fn sweep() {
    let mut count = 0_u32;
    loop {
        tokio::time::sleep(SWEEP).await;
        pool::sweep();
        count = count.wrapping_add(1);
        if count.is_multiple_of(SWEEPS_A_RELEASE) {
            buffer::release_idle();
        }
    }
}

/// Counts the clients' connections, and says when no client can connect any more: to the client that is silence, since it is not
/// accepted. Each open connection holds a clone of `open`, and the server itself holds one.
async fn watch_connections(app: Arc<App>, open: mpsc::WeakSender<()>, most: u64) {
    let mut said: Option<Instant> = None;
    let mut full = false;
    loop {
        tokio::time::sleep(SWEEP).await;
        let open = open.strong_count().saturating_sub(1) as u64;
        app.count_clients(open, most);
        let free = most.saturating_sub(open);
        if full && free > 0 {
            log::info!("new clients are accepted again", free = free);
            full = false;
        }
        if !full && free == 0 && said.is_none_or(|said| said.elapsed() >= FULL_SAID_EVERY) {
            log::warn!(
                "all connections are in use, new clients wait: raise limits.max_connections or the descriptor limit, or find who holds them",
                max_connections = most
            );
            (full, said) = (true, Some(Instant::now()));
        }
    }
}

/// Ready at the first SIGTERM or SIGINT; SIGHUP reloads.
async fn wait_for_signal(reload: &Notify) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        match race(&mut stop, hangup.recv()).await {
            First::A(result) => return result,
            First::B(_) => reload.notify_one(),
        }
    }
}

async fn stop_signal() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    race(terminate.recv(), interrupt.recv()).await;
    Ok(())
}

async fn second_signal() {
    if stop_signal().await.is_err() {
        std::future::pending().await
    }
}
