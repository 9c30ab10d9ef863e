//! `audit token`.

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use key_backup_gateway::admin::config::check_name;
use key_backup_gateway::admin::{KnownToken, Role, Token};

use crate::cli::say;

#[derive(Debug, Args)]
pub(in crate::cli) struct MakeToken {
    /// What it allows
    #[arg(long, value_enum, default_value_t)]
    role: AskedRole,
    /// Whose it is: the trail says this name of log-ins and exports
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum AskedRole {
    /// See the trail
    #[default]
    Reader,
    /// Export it, too, and download proofs
    Auditor,
}

// === impl MakeToken ===

impl MakeToken {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let token = Token::make();
        let known = KnownToken {
            name: self.name,
            role: self.role.into(),
            hash: token.digest(),
        };
        eprintln!(
            "The token, which is shown this once and kept nowhere, and its line for [admin] in the configuration. \
             Beside others it is only the part in braces."
        );
        say(token.expose())?;
        say(&format!("tokens = [{known}]"))
    }
}

// === impl AskedRole ===

impl From<AskedRole> for Role {
    fn from(role: AskedRole) -> Self {
        match role {
            AskedRole::Reader => Self::Reader,
            AskedRole::Auditor => Self::Auditor,
        }
    }
}

fn name(text: &str) -> anyhow::Result<String> {
    check_name(text).map_err(|error| anyhow!(error))?;
    Ok(text.to_owned())
}
