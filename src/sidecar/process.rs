//! The sidecar as a process: found, launched, its output drained, ended. No signal ever goes to a process that we did not
//! start: to our child while it is ours to wait for, or to one whose number and start time our own note names.
//!
//! It is launched from one thread that lives as long as the gateway: its death signal follows the thread that forked it.

use super::Key;
use super::files::{Content, Folder, Note, Process};
use super::lines::{LastWords, Lines, repeat};
use crate::log;
use crate::net::{First, race};
use crate::sys::{self, Signal, tie_to_this_thread};
use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// Between SIGTERM and SIGKILL. It drains streams for up to 30 s, and a second SIGTERM does not hurry it.
pub const END_LIMIT: Duration = Duration::from_secs(5);
/// How long a connection to its port may take before the port counts as free.
const KNOCK_LIMIT: Duration = Duration::from_millis(500);
/// Between two looks at a process that is not our child.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The program's usual name.
pub const PROGRAM: &str = "CLIProxyAPI";
/// Its name in the archives of its releases.
const ARCHIVED: &str = "cli-proxy-api";

/// Where to look for the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The PATH of our own environment.
    pub path: Option<OsString>,
    /// The folder of our own binary.
    pub beside_us: Option<PathBuf>,
    /// The folder of the configuration; a relative `binary` with a slash starts here.
    pub beside_config: PathBuf,
}

/// Finds the program: a path is taken as it is; a name is looked up in PATH, beside our binary and beside the configuration,
/// there also in a folder `cli-proxy-api`. The usual name stands for that of its release archives, too.
///
/// # Errors
/// The sentence that says where it was looked for and what to do.
pub fn find(binary: &str, places: &Places) -> Result<PathBuf, String> {
    if binary.contains('/') {
        let path = places.beside_config.join(binary);
        return match is_program(&path) {
            true => Ok(path),
            false => Err(format!(
                "{} is not a program that can be run: install {PROGRAM} there, or set cli_proxy_api.binary to where it is",
                path.display()
            )),
        };
    }
    let mut folders: Vec<PathBuf> = places
        .path
        .iter()
        .flat_map(|path| std::env::split_paths(path).collect::<Vec<_>>())
        .filter(|folder| folder.is_absolute())
        .collect();
    for folder in places.beside_us.iter().chain([&places.beside_config]) {
        folders.extend([folder.clone(), folder.join("cli-proxy-api")]);
    }
    let names = [binary, ARCHIVED];
    let names = &names[..if binary == PROGRAM { 2 } else { 1 }];
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| is_program(path))
        .ok_or_else(|| {
            format!(
                "the program {binary} was not found in PATH, beside llm-wrapper or beside its configuration: install it \
                 from https://github.com/router-for-me/CLIProxyAPI/releases, or set cli_proxy_api.binary to its path"
            )
        })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The part of our environment that the sidecar is given: where certificates and temporary files are, and whose home it is.
/// Everything else could change what it does: its own settings, other stores, proxies.
pub fn passed_on(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    ["HOME", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), lookup(name)?)))
        .collect()
}

/// What to launch.
#[derive(Clone, Debug)]
pub struct Order {
    /// The program's name or path.
    pub binary: String,
    /// Where to look for it.
    pub places: Places,
    /// The data folder.
    pub folder: Folder,
    /// What its configuration says.
    pub content: Content,
    /// Its environment, beside the management key.
    pub environment: Vec<(String, OsString)>,
}

/// A sidecar that runs and has proven nothing yet.
pub struct Launched {
    child: Child,
    /// Its process number.
    pub pid: u32,
    /// The key of its port.
    pub api_key: Key,
    /// The key of its management.
    pub management_key: Key,
    folder: Folder,
}

/// Why nothing was launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The sentence.
    pub reason: String,
    /// Whether only the user can change it.
    pub hopeless: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure {
            reason,
            hopeless: false,
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Hands a job to the one thread that launches; it is made at the first call and never ends.
fn on_launcher(job: Job) -> Result<(), String> {
    static LAUNCHER: OnceLock<Result<Mutex<mpsc::Sender<Job>>, String>> = OnceLock::new();
    let launcher = LAUNCHER.get_or_init(|| {
        let (jobs, todo) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("sidecar".to_owned())
            .spawn(move || {
                for job in todo {
                    // A panic must not end the thread: every sidecar it launched would be told to end.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                }
            })
            .map_err(|error| format!("cannot make a thread: {error}"))?;
        Ok(Mutex::new(jobs))
    });
    let jobs = launcher.as_ref().map_err(Clone::clone)?;
    let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.send(job)
        .map_err(|_| "the thread that launches it has ended".to_owned())
}

/// Launches a sidecar: files, an orphan of ours, the port, the process. The work is done on the launcher's thread.
pub async fn launch(order: Order) -> Result<Launched, Failure> {
    let (done, result) = oneshot::channel();
    let runtime = Handle::current();
    on_launcher(Box::new(move || {
        let launched = launch_here(&order, &runtime);
        // When nobody waits any more, `launched` is dropped here, and that kills the child.
        let _ = done.send(launched);
    }))?;
    let lost = |_| Failure::from("launching it failed for an unknown reason".to_owned());
    result.await.map_err(lost)?
}

fn launch_here(order: &Order, runtime: &Handle) -> Result<Launched, Failure> {
    let hopeless = |reason: String| Failure {
        reason,
        hopeless: true,
    };
    let program = find(&order.binary, &order.places).map_err(hopeless)?;
    let folder = &order.folder;
    folder.make()?;
    match folder.read_note() {
        Note::Nothing => {}
        Note::Owned(pid) => {
            return Err(format!(
                "another llm-wrapper (process {pid}) uses this data folder and runs the sidecar: give each its own \
                 cli_proxy_api.data_dir"
            )
            .into());
        }
        Note::Orphan(orphan) => end_orphan(orphan)?,
    }
    folder.remove_note();
    check_port(&order.content)?;
    let (api_key, management_key) = (folder.api_key()?, folder.management_key()?);
    folder.write_config(&order.content, &api_key)?;

    let mut command = std::process::Command::new(&program);
    command
        .arg("--config")
        .arg(folder.config())
        .arg("--local-model") // else it fetches model catalogs from two servers every three hours
        .current_dir(folder.run())
        .env_clear()
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        // Here and not in its file: no bcrypt at each call, and the file stays as it was written.
        .env("MANAGEMENT_PASSWORD", management_key.expose())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tie_to_this_thread(&mut command);
    let _inside = runtime.enter();
    let child = Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| hopeless(format!("cannot run {}: {error}", program.display())))?;
    let pid = child
        .id()
        .ok_or_else(|| "it ended while it was started".to_owned())?;
    if let Err(reason) = folder.write_note(pid) {
        log::warn!(
            "sidecar: should it ever be orphaned, it will not be recognised",
            reason = reason
        );
    }
    log::info!("sidecar: started", pid = pid, program = program.display());
    Ok(Launched {
        child,
        pid,
        api_key,
        management_key,
        folder: folder.clone(),
    })
}

/// Ends a sidecar that an earlier gateway left behind.
fn end_orphan(orphan: Process) -> Result<(), String> {
    log::warn!(
        "sidecar: ending one that an earlier gateway left behind",
        pid = orphan.pid
    );
    let mut signal = Signal::Term;
    for limit in [END_LIMIT, Duration::from_secs(1)] {
        let _ = sys::kill(orphan.pid, signal); // gone already, or not ours to end: the look below tells
        let since = Instant::now();
        while since.elapsed() < limit {
            if !orphan.is_alive() {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        signal = Signal::Kill;
    }
    Err(format!(
        "a sidecar of an earlier start (process {}) cannot be ended: end it by hand",
        orphan.pid
    ))
}

/// The sidecar itself would say that it started although its port is taken, so it is looked at before.
fn check_port(content: &Content) -> Result<(), String> {
    let (host, port) = (content.host.as_str(), content.port);
    let taken = || {
        format!(
            "another program answers on {host}:{port}: end it, set cli_proxy_api_endpoint to a free port, or, if it is a \
             {PROGRAM} to be used, set cli_proxy_api.manage to never with its keys"
        )
    };
    let mut addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{host}:{port} is no address to listen on: {error}"))?;
    if addresses.any(|address| TcpStream::connect_timeout(&address, KNOCK_LIMIT).is_ok()) {
        return Err(taken());
    }
    // Bound without listening is taken too. (The standard library sets SO_REUSEADDR, so an old TIME-WAIT is no hindrance.)
    match TcpListener::bind((host, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(taken()),
        Err(error) => Err(format!("{host}:{port} cannot be listened on: {error}")),
    }
}

impl Launched {
    /// Watches the process to its end: drains its output, and ends it once `stop` is sent or dropped. Dropping the future
    /// kills the process.
    pub async fn keep(mut self, stop: oneshot::Receiver<()>) -> Ended {
        let words = LastWords::default();
        let secrets = [self.api_key.clone(), self.management_key.clone()];
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        // They run free: each ends with its pipe, that is with the last process that holds it.
        if let Some(pipe) = stdout {
            tokio::spawn(drain(pipe, secrets.clone(), words.clone()));
        }
        if let Some(pipe) = stderr {
            tokio::spawn(drain(pipe, secrets, words.clone()));
        }
        let ended = match race(self.child.wait(), stop).await {
            First::A(ended) => ended,
            First::B(_) => self.end().await,
        };
        self.folder.remove_note();
        let what = match ended {
            Ok(status) => describe(status),
            Err(error) => format!("it is lost: {error}"),
        };
        Ended { what, words }
    }

    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        // `id` is None once it has been waited for, so the number cannot mean another process.
        if let Some(pid) = self.child.id() {
            let _ = sys::kill(pid, Signal::Term); // it may have ended this very moment
        }
        match race(self.child.wait(), sleep(END_LIMIT)).await {
            First::A(ended) => return ended,
            First::B(()) => log::warn!(
                "sidecar: did not end when asked to, killing it",
                pid = self.pid,
                after_s = END_LIMIT.as_secs()
            ),
        }
        self.child.start_kill()?;
        self.child.wait().await
    }
}

/// A sidecar that is gone.
pub struct Ended {
    what: String,
    words: LastWords,
}

impl Ended {
    /// What is known of why. Its last line is still in the pipe when its end is known, so this takes a moment.
    pub async fn reason(self) -> String {
        tokio::task::yield_now().await;
        sleep(LOOK_EVERY).await;
        match self.words.text() {
            Some(words) => format!("{}; it said last: {words}", self.what),
            None => self.what,
        }
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}

/// Reads to the end of the pipe, come what may: a closed pipe kills the sidecar, an unread one hangs it.
async fn drain(mut pipe: impl AsyncRead + Unpin, secrets: [Key; 2], words: LastWords) {
    let secrets = secrets.each_ref().map(Key::expose);
    let mut lines = Lines::default();
    let mut buffer = vec![0; 8192];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) => break,
            Ok(read) => lines.push(&buffer[..read], |line| repeat(line, &secrets, &words)),
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
    lines.finish(|line| repeat(line, &secrets, &words));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn the_program_is_found_by_path_and_by_name_and_must_be_executable() {
        let root = std::env::temp_dir().join(format!("llm-wrapper-find-{}", std::process::id()));
        let file = |name: &str, mode: u32| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mode)
                .open(&path)
                .unwrap();
            path
        };
        let places = Places {
            path: Some(
                std::env::join_paths(["relative".into(), root.join("bin"), root.join("bin2")])
                    .unwrap(),
            ),
            beside_us: Some(root.join("us")),
            beside_config: root.join("config"),
        };
        let missing = find(PROGRAM, &places).unwrap_err();
        assert!(
            missing.contains("releases") && missing.contains("cli_proxy_api.binary"),
            "{missing}"
        );
        let archived = file("us/cli-proxy-api", 0o755);
        assert_eq!(find(PROGRAM, &places), Ok(archived));
        assert!(find("another", &places).is_err());
        let legacy = file("config/cli-proxy-api/CLIProxyAPI", 0o755);
        assert_eq!(find(PROGRAM, &places), Ok(legacy.clone()));
        let beside = file("us/CLIProxyAPI", 0o755);
        assert_eq!(find(PROGRAM, &places), Ok(beside));
        file("bin/CLIProxyAPI", 0o644);
        let in_path = file("bin2/CLIProxyAPI", 0o755);
        assert_eq!(find(PROGRAM, &places), Ok(in_path));
        assert_eq!(find("cli-proxy-api/CLIProxyAPI", &places), Ok(legacy));
        assert!(find("./nothing", &places).unwrap_err().contains("nothing"));
        assert!(find("/", &places).is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn only_a_named_part_of_the_environment_is_passed_on() {
        let passed = passed_on(|name| Some(OsString::from(format!("{name}!"))));
        let names: Vec<&str> = passed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["HOME", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"]
        );
    }

    #[test]
    fn a_taken_port_is_told_from_a_free_one() {
        let stranger = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut content = Content {
            host: "127.0.0.1".into(),
            port: stranger.local_addr().unwrap().port(),
            proxy_url: None,
        };
        let refused = check_port(&content).unwrap_err();
        assert!(refused.contains("another program answers"), "{refused}");
        drop(stranger);
        assert_eq!(check_port(&content), Ok(()));
        content.host = "192.0.2.1".into(); // no address of this machine (RFC 5737)
        assert!(check_port(&content).is_err());
    }
}
