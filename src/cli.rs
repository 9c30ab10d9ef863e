//! The command line: what is asked for, and who does it.
//!
//! Only this module reads the environment, and only it writes to standard output.

mod audit;

use std::ffi::OsStr;
use std::future::Future;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use key_backup_gateway::audit::record::Stamp;
use key_backup_gateway::clock::SystemClock;
use key_backup_gateway::config::{Config, Flag, Needs, Sources};
use key_backup_gateway::server::{self, Inherited, Server};
use key_backup_gateway::{audit as trail, telemetry};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Guards the key-backup preference of Matrix users in front of a homeserver, and keeps an audit
/// trail of it.
#[derive(Debug, Parser)]
#[command(name = "key-backup-gateway", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed or not sound, 3 could not tell (`audit verify`), 64 usage, \
                          78 configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway; `--origin` alone is enough to start
    Serve(Settings),
    /// Read the configuration and say what is wrong with it
    Check(Settings),
    /// Bring the database up to date
    Migrate(Settings),
    /// Read the audit trail
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Flags that stand for keys of the configuration. They override the environment, which overrides
/// the file.
#[derive(Debug, Args)]
struct Settings {
    /// The configuration, a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The homeserver, `http://HOST:PORT`, `https://HOST` or `unix:PATH` [`origin.url`]
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Where clients come in, `HOST:PORT`, `unix:PATH` or `fd:NAME`, comma-separated
    /// [`server.listen`]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where health and metrics are, likewise one [`server.admin_listen`]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// Where the trail is kept, `sqlite:PATH` or `postgres://…` [`database.url`]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// The same for those who only read the trail.
#[derive(Debug, Args)]
struct Database {
    /// The configuration, a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the trail is kept, `sqlite:PATH` or `postgres://…` [`database.url`]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// The command line is well-formed, and asks for what there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misused(String);

// === impl Cli ===

impl Cli {
    /// Does what the command line says.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(settings) => serve(&settings.load(Needs::Origin)?),
            Command::Check(settings) => check(&settings.load(Needs::Origin)?),
            Command::Migrate(settings) => migrate(&settings.load(Needs::Database)?),
            Command::Audit(command) => return command.run(),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

// === impl Settings ===

impl Settings {
    fn load(self, needs: Needs) -> anyhow::Result<Config> {
        let flags = [
            ("--origin", ("origin", "url"), self.origin),
            ("--listen", ("server", "listen"), self.listen),
            (
                "--admin-listen",
                ("server", "admin_listen"),
                self.admin_listen,
            ),
            ("--database", ("database", "url"), self.database),
        ];
        load(self.config, flags, needs)
    }
}

// === impl Database ===

impl Database {
    fn load(self) -> anyhow::Result<Config> {
        let flags = [("--database", ("database", "url"), self.database)];
        load(self.config, flags, Needs::Database)
    }

    /// The same for whoever is about to make the key file that it names.
    fn load_without_keys(self) -> anyhow::Result<Config> {
        let flags = [("--database", ("database", "url"), self.database)];
        load(self.config, flags, Needs::Keys)
    }
}

type GivenFlag = (&'static str, (&'static str, &'static str), Option<String>);

fn load(
    file: Option<PathBuf>,
    flags: impl IntoIterator<Item = GivenFlag>,
    needs: Needs,
) -> anyhow::Result<Config> {
    let flags = flags.into_iter().filter_map(|(name, key, text)| {
        Some(Flag {
            name,
            key,
            text: text?,
        })
    });
    let sources = Sources {
        file,
        environment: std::env::vars_os().collect(),
        flags: flags.collect(),
    };
    Ok(Config::load(sources, needs)?)
}

fn serve(config: &Config) -> anyhow::Result<()> {
    telemetry::init(&config.log)?;
    let names = std::env::var_os("LISTEN_FDNAMES");
    let inherited = Inherited::take(names.as_deref().and_then(OsStr::to_str))
        .context("the sockets that systemd passed cannot be used")?;
    // For administrators and signals; those who serve clients have runtimes of their own.
    let runtime = small_runtime()?;
    let served = runtime.block_on(async {
        let shutdown = shutdown()?;
        let mut hangup = signal(SignalKind::hangup()).context(NO_SIGNALS)?;
        let server = Server::bind(config.clone(), inherited).await?;
        let reload = server.reload();
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                reload.reload();
            }
        });
        Ok(server.run(shutdown).await?)
    });
    // Dropped, it would wait for a name that is still being looked up, however long that takes.
    runtime.shutdown_background();
    served
}

fn check(config: &Config) -> anyhow::Result<()> {
    // Nothing is connected to: what can be known without the network is checked.
    for remark in trail::check(&config.database, &config.audit)? {
        say(&remark)?;
    }
    server::check(config)?;
    say("the configuration is good")
}

fn migrate(config: &Config) -> anyhow::Result<()> {
    let remarks = small_runtime()?.block_on(async {
        let store = trail::open(&config.database)?;
        let done = async {
            let stamp = stamp();
            trail::migrate(&*store, &stamp).await?;
            // Whoever may change the schema makes the partitions, too: gateways may not be allowed to.
            store.maintain().await
        };
        let done = done.await;
        store.close().await;
        Ok::<_, anyhow::Error>(done?)
    })?;
    for remark in remarks {
        say(&remark)?;
    }
    say("the database is up to date")
}

/// Ends when the process is asked to.
fn shutdown() -> anyhow::Result<impl Future<Output = ()> + Send> {
    // Registered before the first request: a signal that comes early is not lost.
    let mut terminate = signal(SignalKind::terminate()).context(NO_SIGNALS)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(NO_SIGNALS)?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "shutting down");
    })
}

const NO_RUNTIME: &str = "the runtime could not be started";
const NO_SIGNALS: &str = "signals cannot be received";

/// A runtime for a command that reads while it computes.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .context(NO_RUNTIME)
}

/// A runtime for a command that does one thing after the other.
fn small_runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context(NO_RUNTIME)
}

/// Who writes what a command has to say in the trail.
fn stamp() -> Stamp {
    let instance = gethostname::gethostname();
    Stamp::new(Arc::new(SystemClock), &instance.to_string_lossy())
}

fn say(text: &str) -> anyhow::Result<()> {
    closed_pipe_is_fine(writeln!(io::stdout(), "{text}"))
}

/// Whoever reads us may stop when they have seen enough (`| head`).
fn closed_pipe_is_fine(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("the output could not be written")
        }
        _ => Ok(()),
    }
}
