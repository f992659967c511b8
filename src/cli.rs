//! The command line and the environment variables that stand in for it, parsed into one [`Command`]. Pure: both come in as
//! arguments. Flags win over the environment, of a repeated flag the last one counts, an empty variable counts as unset.

use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The configuration file when neither `--config` nor `CONFIG_PATH` names one.
pub const CONFIG_DEFAULT: &str = "config.yaml";
/// The bind address when neither `--addr` nor `BIND_ADDR` names one.
pub const ADDR_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 3000);

/// What `--help` prints.
pub const HELP: &str = "\
llm-wrapper: one address for OpenAI Chat Completions, OpenAI Responses and Anthropic Messages clients

usage: llm-wrapper [options]

  -c, --config PATH  configuration file        [CONFIG_PATH; default config.yaml]
  -a, --addr ADDR    address to listen on      [BIND_ADDR; default 0.0.0.0:3000]
      --demo         start with a built-in echo upstream and aliases demo-chat,
                     demo-responses and demo-messages; reads and writes no file
      --check        validate the configuration, print its problems, exit 0 or 1
      --health [URL] exit 0 if /healthz of a running gateway answers, else 1
  -v, --version      print the version
  -h, --help         print this

environment:
  ADMIN_KEY          key of the management API and the WebUI; wins over the file's
  DATA_DIR           data folder; wins over cli_proxy_api.data_dir
  PUID, PGID         started as root: become this user before listening
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
                     egress proxy, where the configuration names none
  LOG                error, warn, info (default) or debug
";

/// What `--version` prints, without the line end.
pub const VERSION: &str = concat!("llm-wrapper ", env!("CARGO_PKG_VERSION"));

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the gateway.
    Serve {
        /// The configuration file.
        config: PathBuf,
        /// Where to listen.
        addr: SocketAddr,
        /// With the built-in upstream, reading and writing no file.
        demo: bool,
    },
    /// Validate the configuration and exit.
    Check {
        /// The configuration file.
        config: PathBuf,
    },
    /// Ask a running gateway whether it is alive.
    Health {
        /// The whole URL to GET.
        url: String,
    },
    /// Print [`VERSION`].
    Version,
    /// Print [`HELP`].
    Help,
}

/// Parses the arguments, the program's name not among them. The error is one line for stderr, and then exit code 2.
pub fn parse<A>(
    args: impl IntoIterator<Item = A>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Command, String>
where
    A: Into<OsString>,
{
    let mut parser = Parser::from_args(args.into_iter().map(Into::into).collect::<Vec<_>>());
    let mut config = None;
    let mut addr = None;
    let mut health = None;
    let mut demo = false;
    let mut check = false;
    while let Some(arg) = parser.next().map_err(sentence)? {
        match arg {
            Arg::Short('c') | Arg::Long("config") => {
                let value = value(&mut parser, "--config", "a path")?;
                config = Some(PathBuf::from(value));
            }
            Arg::Short('a') | Arg::Long("addr") => {
                let value = value(&mut parser, "--addr", "an address")?;
                addr = Some(address("--addr", &value.string().map_err(sentence)?)?);
            }
            Arg::Long("demo") => demo = true,
            Arg::Long("check") => check = true,
            Arg::Long("health") => health = Some(optional_value(&mut parser)?),
            Arg::Short('v') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Value(value) => {
                let value = value.to_string_lossy();
                return Err(format!("unexpected argument {value:?}; see --help"));
            }
            unknown => return Err(format!("{}; see --help", unknown.unexpected())),
        }
    }

    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let addr = match (addr, env("BIND_ADDR")) {
        (Some(addr), _) => addr,
        (None, Some(text)) => address("BIND_ADDR", &text)?,
        (None, None) => ADDR_DEFAULT,
    };
    let config = config
        .or_else(|| env("CONFIG_PATH").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(CONFIG_DEFAULT));

    match (health, check, demo) {
        (Some(_), true, _) => Err("--health and --check exclude each other".to_owned()),
        (Some(_), _, true) => Err("--health and --demo exclude each other".to_owned()),
        (_, true, true) => Err("--check and --demo exclude each other".to_owned()),
        (Some(url), false, false) => Ok(Command::Health {
            url: health_url(url, addr)?,
        }),
        (None, true, false) => Ok(Command::Check { config }),
        (None, false, demo) => Ok(Command::Serve { config, addr, demo }),
    }
}

/// lexopt's errors are sentences already.
fn sentence(error: lexopt::Error) -> String {
    format!("{error}; see --help")
}

/// The value a flag must have. The next flag is not taken for it: `-c -a :1` has forgotten the path.
fn value(parser: &mut Parser, flag: &str, what: &str) -> Result<OsString, String> {
    if let Some(attached) = parser.optional_value() {
        return Ok(attached);
    }
    next_plain(parser).ok_or_else(|| format!("{flag} needs {what}; see --help"))
}

/// The value a flag may have, attached or as the next argument.
fn optional_value(parser: &mut Parser) -> Result<Option<String>, String> {
    let value = parser.optional_value().or_else(|| next_plain(parser));
    value
        .map(|value| value.string().map_err(sentence))
        .transpose()
}

/// The next argument, unless it looks like a flag.
fn next_plain(parser: &mut Parser) -> Option<OsString> {
    let mut raw = parser.try_raw_args()?;
    let next = raw.peek()?;
    if next.is_empty() || next.as_encoded_bytes().starts_with(b"-") {
        return None;
    }
    raw.next()
}

/// `IP:PORT`; also `localhost:PORT`, and `:PORT` for every address.
fn address(source: &str, text: &str) -> Result<SocketAddr, String> {
    let port_of = |prefix: &str| text.strip_prefix(prefix)?.parse::<u16>().ok();
    let parsed = match (text.parse(), port_of("localhost:"), port_of(":")) {
        (Ok(addr), _, _) => Some(addr),
        (_, Some(port), _) => Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        (_, _, Some(port)) => Some(SocketAddr::new(ADDR_DEFAULT.ip(), port)),
        _ => None,
    };
    parsed.ok_or_else(|| {
        format!(
            "{source}: {text:?} is not an address with a port, such as 0.0.0.0:3000 or [::]:3000"
        )
    })
}

/// The URL `--health` asks: the one given, completed, or this host and the port the gateway would listen on.
fn health_url(given: Option<String>, addr: SocketAddr) -> Result<String, String> {
    let Some(url) = given else {
        let ip = match addr.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let local = SocketAddr::new(ip, addr.port());
        return Ok(format!("http://{local}/healthz"));
    };
    let url = match url.split_once("://") {
        Some(("http" | "https", _)) => url,
        Some((scheme, _)) => {
            return Err(format!("--health: scheme {scheme:?} is not http or https"));
        }
        None => format!("http://{url}"),
    };
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let (authority, path) = match url[after_scheme..].split_once('/') {
        Some((authority, path)) => (authority, path),
        None => (&url[after_scheme..], ""),
    };
    if authority.is_empty() {
        return Err(format!("--health: {url:?} names no host"));
    }
    match path {
        "" => Ok(format!("{}/healthz", url.trim_end_matches('/'))),
        _ => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str], env: &[(&str, &str)]) -> Result<Command, String> {
        parse(args.iter().copied(), |name| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn serve(config: &str, addr: &str, demo: bool) -> Result<Command, String> {
        let addr = addr.parse().unwrap();
        Ok(Command::Serve {
            config: config.into(),
            addr,
            demo,
        })
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        assert_eq!(run(&[], &[]), serve("config.yaml", "0.0.0.0:3000", false));
        assert_eq!(
            run(&[], &[("BIND_ADDR", ""), ("CONFIG_PATH", "")]),
            run(&[], &[])
        );
    }

    #[test]
    fn flags_win_over_the_environment() {
        let env = &[("CONFIG_PATH", "env.yaml"), ("BIND_ADDR", "127.0.0.1:1")];
        assert_eq!(run(&[], env), serve("env.yaml", "127.0.0.1:1", false));
        for args in [
            &["-c", "a.yaml", "-a", "[::1]:2"][..],
            &["--config=a.yaml", "--addr=[::1]:2"],
            &["--config", "a.yaml", "--addr", "[::1]:2"],
            &["-ca.yaml", "-a[::1]:2"],
            &["-c", "x.yaml", "-c", "a.yaml", "-a", "[::1]:2"],
        ] {
            assert_eq!(
                run(args, env),
                serve("a.yaml", "[::1]:2", false),
                "{args:?}"
            );
        }
        assert_eq!(
            run(&["--demo"], &[]),
            serve("config.yaml", "0.0.0.0:3000", true)
        );
    }

    #[test]
    fn a_flag_hides_a_broken_variable() {
        assert!(run(&[], &[("BIND_ADDR", "nonsense")]).is_err());
        assert_eq!(
            run(&["-a", ":9"], &[("BIND_ADDR", "nonsense")]),
            serve("config.yaml", "0.0.0.0:9", false)
        );
        assert_eq!(
            run(&["-a", "localhost:9"], &[]),
            serve("config.yaml", "127.0.0.1:9", false)
        );
    }

    #[test]
    fn mistakes_are_one_line_that_names_them() {
        for (args, word) in [
            (&["--colour"][..], "--colour"),
            (&["-x"], "-x"),
            (&["--config"], "--config"),
            (&["-c", "-a", ":1"], "--config"),
            (&["-a"], "--addr"),
            (&["-a", "3000"], "3000"),
            (&["-a", "host.example:3000"], "host.example"),
            (&["-a", "0.0.0.0:70000"], "70000"),
            (&["config.yaml"], "config.yaml"),
            (&["--demo=yes"], "yes"),
            (&["--check", "--demo"], "--demo"),
            (&["--health", "ftp://x"], "ftp"),
            (&["--health", "http://"], "host"),
        ] {
            let error = run(args, &[]).expect_err(&format!("{args:?}"));
            assert!(error.contains(word), "{args:?}: {error}");
            assert!(!error.contains('\n'), "{args:?}: {error}");
        }
    }

    #[test]
    fn health_asks_the_gateway_that_would_run_here() {
        let url = |args: &[&str], env: &[(&str, &str)]| match run(args, env) {
            Ok(Command::Health { url }) => url,
            other => panic!("{other:?}"),
        };
        assert_eq!(url(&["--health"], &[]), "http://127.0.0.1:3000/healthz");
        let bound = |addr| url(&["--health"], &[("BIND_ADDR", addr)]);
        assert_eq!(bound("[::]:8080"), "http://[::1]:8080/healthz");
        assert_eq!(bound("10.0.0.7:8080"), "http://10.0.0.7:8080/healthz");
        assert_eq!(
            url(&["--health", "-a", ":81"], &[]),
            "http://127.0.0.1:81/healthz"
        );
        assert_eq!(
            url(&["--health", "http://gw:1"], &[]),
            "http://gw:1/healthz"
        );
        assert_eq!(url(&["--health", "gw:1/"], &[]), "http://gw:1/healthz");
        assert_eq!(
            url(&["--health=https://gw/sub/healthz"], &[]),
            "https://gw/sub/healthz"
        );
    }

    #[test]
    fn the_other_commands() {
        assert_eq!(run(&["-v"], &[]), Ok(Command::Version));
        assert_eq!(
            run(&["--demo", "--help", "--unknown"], &[]),
            Ok(Command::Help)
        );
        let config = PathBuf::from("x");
        assert_eq!(
            run(&["--check", "-c", "x"], &[]),
            Ok(Command::Check { config })
        );
        for flag in [
            "--config",
            "--addr",
            "--demo",
            "--check",
            "--health",
            "--version",
            "--help",
        ] {
            assert!(HELP.contains(flag), "{flag}");
        }
    }
}
