//! The gateway's binary: parses its command line, does what it says, and ends with a code.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use key_backup_gateway::config;
use key_backup_gateway::{audit::store, server};
use tikv_jemallocator::Jemalloc;

/// Thousands of long polls hold buffers that they have not written to: here those take no memory, and what
/// a crowd held is given back when it has gone.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// It did not work.
const EX_FAILED: u8 = 1;
// From sysexits(3): a supervisor need not restart us over a typo.
const EX_USAGE: u8 = 64;
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // To a closed pipe there is nothing left to say.
            let _ = error.print();
            // `--help` and `--version` come as errors, too.
            return if error.use_stderr() {
                EX_USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("key-backup-gateway: {error:#}");
            ExitCode::from(if error.is::<cli::Misused>() {
                EX_USAGE
            } else if is_configuration(&error) {
                EX_CONFIG
            } else {
                EX_FAILED
            })
        }
    }
}

/// Whether trying again will help no more than it did now, until somebody mends the configuration.
fn is_configuration(error: &anyhow::Error) -> bool {
    error.is::<config::Error>()
        || error.is::<store::OpenError>()
        || error
            .downcast_ref()
            .is_some_and(server::Error::is_configuration)
}
